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
            "print what is in the outbox of this camera, and exit",
            lambda settings, _: print_outbox(settings),
        ),
        "image": Command[DetectorSettings](
            "print the faces of pictures, a line of JSON for each, and exit",
            print_faces,
            "FILE",
            {"annotate": ("DIR", "with --image: also write the pictures into DIR, faces drawn in")},
        ),
    }
    main("detector", about or "", DetectorSettings, run, commands)
