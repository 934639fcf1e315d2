from common.runtime.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.service import main
    from forwarder import __doc__ as about
    from forwarder.relay import run
    from forwarder.settings import ForwarderSettings

    main("forwarder", about or "", ForwarderSettings, run)
