"""A folder as an object store: `COS_ENDPOINT=file:///path`, with a folder per bucket below it.

For trying things without a store, and for small sites whose server has disk enough. A key is a
path below the bucket's folder; content type and metadata lie beside it, in a tree of their own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from common.protocol.keys import PROBE
from common.store.base import Listed, NewObject, Observer, StoreError, StoreOptions

PAGE = 1000
CHUNK = 64 * 1024
_FACTS = ".facepipe-metadata"  # the folder of the metadata; no key begins with it


class FolderBody:
    """A file that is being read."""

    def __init__(self, path: Path, facts: dict[str, str]) -> None:
        self.facts = facts
        self._file = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK):
            yield chunk
        self.close()

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def close(self) -> None:
        self._file.close()


class FolderStore:
    """An object store in one folder, which must be there: a disk that is not mounted is noticed."""

    def __init__(self, folder: Path, bucket: str, observer: Observer) -> None:
        self.name = bucket
        self._root = folder / bucket
        self._observer = observer

    def check(self) -> None:
        if not os.access(self._root, os.R_OK | os.X_OK):
            reason = "denied" if self._root.is_dir() else "no_bucket"
            raise StoreError(reason, f"COS_BUCKET={self.name}: {self._root} cannot be read")

    def probe(self) -> None:
        body = b"facepipe can write here\n"
        digest = hashlib.sha256(body).hexdigest()
        self.put(NewObject(PROBE, body, "text/plain", {}, digest))

    def put(self, new: NewObject, replace: bool = True) -> None:
        with self._observer.count("put"):
            self._put(new, replace)

    def _put(self, new: NewObject, replace: bool) -> None:
        if hashlib.sha256(new.body).hexdigest() != new.sha256:
            raise StoreError("altered", f"{new.key} does not have the SHA-256 that was given")
        path = self._path(new.key)
        try:
            self.check()
            if not replace and path.exists():
                self._compare(path, new)
                return
            self._write(self._facts_path(new.key), json.dumps(new.metadata).encode())
            self._write(path, new.body, replace)
        except FileExistsError:  # another process has written it just now
            self._compare(path, new)
        except OSError as error:
            reason = "denied" if isinstance(error, PermissionError) else "server"
            raise StoreError(reason, f"{new.key} cannot be written: {error.strerror}") from None

    def _compare(self, path: Path, new: NewObject) -> None:
        if path.read_bytes() != new.body:
            raise StoreError("exists", f"{new.key} is already stored with other content")

    def _write(self, path: Path, content: bytes, replace: bool = True) -> None:
        """Whole or not at all, also when the power goes. Raises FileExistsError, OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace or not _link(part, path):
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def get(self, key: str) -> FolderBody:
        with self._observer.count("get"):
            facts = self._read_facts(key)
            try:
                return FolderBody(self._path(key), facts)
            except OSError as error:
                raise self._unreadable(key, error) from None

    def head(self, key: str) -> dict[str, str]:
        with self._observer.count("head"):
            return self._read_facts(key)

    def _read_facts(self, key: str) -> dict[str, str]:
        self.check()
        try:
            self._path(key).stat()
            return dict(json.loads(self._facts_path(key).read_bytes()))
        except FileNotFoundError as error:
            if self._path(key).is_file():  # put there by somebody else, without metadata
                return {}
            raise self._unreadable(key, error) from None
        except (OSError, ValueError) as error:
            raise self._unreadable(key, error) from None

    def pages(self, prefix: str = "", after: str = "") -> Iterator[list[Listed]]:
        with self._observer.count("list"):
            self.check()
        page: list[Listed] = []
        for key, status in self._walk(self._root, "", prefix):
            if key.encode() <= after.encode():
                continue
            page.append(_listed(key, status))
            if len(page) == PAGE:
                yield page
                page = []
        yield page

    def level(self, prefix: str = "") -> Iterator[tuple[list[Listed], list[str]]]:
        with self._observer.count("list"):
            self.check()
        folder, _, begin = prefix.rpartition("/")
        name = f"{folder}/" if folder else ""
        found, prefixes = list[Listed](), list[str]()
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self._root / folder) as entries,
        ):
            for one in entries:
                if not one.name.startswith(begin) or one.name == _FACTS:
                    continue
                if one.is_dir():
                    prefixes.append(f"{name}{one.name}/")
                elif not one.name.endswith(".part"):
                    found.append(_listed(f"{name}{one.name}", one.stat()))
        yield found, prefixes

    def _walk(self, folder: Path, name: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """In order of keys: a folder sorts as its name with a slash behind it."""
        with os.scandir(folder) as found:
            entries = {f"{one.name}/" if one.is_dir() else one.name: one for one in found}
        for part in sorted(entries, key=str.encode):
            key = name + part
            if part.endswith("/"):
                known = key.startswith(prefix) or prefix.startswith(key)
                if known and key != f"{_FACTS}/":
                    yield from self._walk(folder / part, key, prefix)
            elif key.startswith(prefix) and not part.endswith(".part"):
                yield key, entries[part].stat()

    def delete(self, keys: list[str]) -> dict[str, str]:
        with self._observer.count("delete"):
            self.check()
        failed: dict[str, str] = {}
        for key in keys:
            try:
                self._path(key).unlink(missing_ok=True)
                self._facts_path(key).unlink(missing_ok=True)
            except StoreError as error:
                failed[key] = error.reason
            except (IsADirectoryError, NotADirectoryError):
                continue  # no object has this key
            except OSError as error:
                failed[key] = "denied" if isinstance(error, PermissionError) else "server"
        return failed

    def expire_after(self, days: int) -> bool:
        return not days  # a folder deletes nothing by itself

    def expiry(self) -> int | None:
        return None

    def close(self) -> None:
        pass

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if _FACTS in parts[:1] or any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise StoreError("refused", f"a folder cannot have the key {key!r}")
        return self._root.joinpath(*parts)

    def _facts_path(self, key: str) -> Path:
        relative = self._path(key).relative_to(self._root)
        return self._root / _FACTS / relative.with_name(f"{relative.name}.json")

    def _unreadable(self, key: str, error: Exception) -> StoreError:
        gone = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
        reason = "missing" if gone else "denied" if isinstance(error, PermissionError) else "server"
        return StoreError(reason, f"{key} cannot be read: {error}")


def _link(part: Path, path: Path) -> bool:
    """Give a file a second name, if the file system can. Raises FileExistsError, OSError."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def _listed(key: str, status: os.stat_result) -> Listed:
    return Listed(key, status.st_size, round(status.st_mtime * 1000))


def create(options: StoreOptions, observer: Observer) -> FolderStore:
    return FolderStore(_folder(options.endpoint), options.bucket, observer)


def find_problems(options: StoreOptions) -> Iterator[str]:
    if not _folder(options.endpoint).is_absolute():
        yield "COS_ENDPOINT must be file:/// and the path of a folder"


def _folder(endpoint: str) -> Path:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(endpoint).path))
