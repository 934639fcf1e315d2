from common.runtime.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.service import main
    from processor import __doc__ as about
    from processor.intake import run
    from processor.settings import ProcessorSettings

    main("processor", about or "", ProcessorSettings, run)
