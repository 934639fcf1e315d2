from common.early import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.service import main
    from detector import __doc__ as about
    from detector.loop import run
    from detector.report import outbox
    from detector.settings import Settings

    main("detector", about or "", Settings, run, {"outbox": outbox})
