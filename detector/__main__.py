from common.early import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.commands import Command
    from common.service import main
    from detector import __doc__ as about
    from detector.loop import run
    from detector.report import outbox
    from detector.settings import Settings
    from detector.still import pictures

    commands = {
        "outbox": Command[Settings](
            "print what is in the outbox of this camera, and exit",
            lambda settings, _: outbox(settings),
        ),
        "image": Command[Settings](
            "print the faces of pictures, a line of JSON for each, and exit",
            pictures,
            "FILE",
            {"annotate": ("DIR", "with --image: also write the pictures into DIR, faces drawn in")},
        ),
    }
    main("detector", about or "", Settings, run, commands)
