from common.runtime.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.runtime.commands import Command
    from common.service import main
    from detector import __doc__ as about
    from detector.commands.cameras import print_cameras
    from detector.commands.image import print_faces
    from detector.commands.outbox_report import print_outbox
    from detector.commands.probe import print_probe
    from detector.service import run
    from detector.settings import DetectorSettings

    commands = {
        "outbox": Command[DetectorSettings](
            "print the state of each camera's outbox, and exit",
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
        "cameras": Command[DetectorSettings](
            "list the webcams of this machine with their sizes and rates, and the ONVIF cameras of "
            "its networks, and exit",
            lambda _, __: print_cameras(),
            bare=True,
        ),
        "probe": Command[DetectorSettings](
            "open a camera, print what it is, save a picture of it, and exit: with 1 if that "
            "fails. SOURCE is what CAMERA may be (default: what CAMERA is), CAMERA_USERNAME and "
            "CAMERA_PASSWORD its login; or the name of one of CAMERAS",
            lambda _, arguments: print_probe(arguments),
            "SOURCE",
            {"picture": ("FILE", "with --probe: where to save the picture (default: probe.png)")},
            bare=True,  # what CAMERA names does not matter if SOURCE is given
            optional=True,
        ),
    }
    main("detector", about or "", DetectorSettings, run, commands)
