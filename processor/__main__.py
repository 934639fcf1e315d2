from common.early import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.service import main
    from processor import __doc__ as about
    from processor.settings import Settings
    from processor.store import run

    main("processor", about or "", Settings, run)
