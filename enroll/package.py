"""All that a device needs, in one tar file that is unpacked beside its compose file."""

from __future__ import annotations

import io
import tarfile
import time

FOLDER = "secrets"
BUNDLE = f"{FOLDER}/cloud-bundle.pem"
SETTINGS = f"{FOLDER}/device.env"


def pack(bundle: str, settings: dict[str, str]) -> bytes:
    """A tar file (POSIX.1-1988 ustar) of a device's bundle and of the settings that go with it.

    Its folder is for its owner alone. The files in it are readable by all, since the user of the
    containers is not the one who unpacks them: a bind mount of a file does not ask its folder.
    """
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = _describe(FOLDER, 0o700)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        _add(tar, SETTINGS, "# Written by enrolment; .env goes before it.\n" + "".join(lines))
        _add(tar, BUNDLE, bundle)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: str) -> None:
    file = _describe(name, 0o644)
    file.size = len(content)
    tar.addfile(file, io.BytesIO(content.encode("ascii")))


def _describe(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, int(time.time())
    info.uname = info.gname = "root"
    return info
