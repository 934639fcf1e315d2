from common.runtime.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.runtime.commands import Command
    from common.service import main
    from gallery import __doc__ as about
    from gallery.auth.cli import add_user
    from gallery.service import run
    from gallery.settings import GallerySettings

    main(
        "gallery",
        about or "",
        GallerySettings,
        run,
        {
            "add-user": Command(
                "ask for a password, and print the line of GALLERY_USERS for this user",
                add_user,
                values="NAME",
                options={"role": ("ROLE", "admin (default), who may delete; or viewer")},
                bare=True,
            )
        },
    )
