from common.runtime.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.runtime.commands import Command
    from common.service import main
    from detector import __doc__ as about
    from detector.commands.image import print_faces
    from detector.commands.outbox_report import print_outbox
    from detector.service import run
    from detector.settings import DetectorSettings

    commands = {
        "outbox": Command[DetectorSettings](
            "print the state of this camera's outbox, and exit",
            lambda settings, _: print_outbox(settings),
        ),
        "image": Command[DetectorSettings](
            "print the faces of each picture as a line of JSON, and exit",
            print_faces,
            "FILE",
            {
                "annotate": (
                    "DIR",
                    "with --image: also write each picture to DIR with its faces drawn",
                )
            },
        ),
    }
    main("detector", about or "", DetectorSettings, run, commands)
