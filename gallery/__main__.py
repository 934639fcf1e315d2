from common.early import hold_signals

if __name__ == "__main__":
    hold_signals()
    from common.commands import Command
    from common.service import main
    from gallery import __doc__ as about
    from gallery.access.add import add_user
    from gallery.serve import run
    from gallery.settings import Settings

    main(
        "gallery",
        about or "",
        Settings,
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
