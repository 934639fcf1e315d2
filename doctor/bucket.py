"""Checks of the bucket: what the credentials of processor and gallery may do there."""

from __future__ import annotations

import asyncio
import hashlib
import secrets

from common.protocol.keys import OWN
from common.store.base import NewObject, ObjectStore, StoreError
from doctor.check import Finding, fail, ok, warn

_BODY = b"the doctor was here\n"
_REMEDIES = {
    "denied": "check the credentials and their role: docs/cloud.md#credentials-untried",
    "no_bucket": "create the bucket, or correct COS_BUCKET; its location must be the endpoint's",
    "not_s3": "COS_ENDPOINT must be the URL of an S3 endpoint, without the bucket",
    "unreachable": "check COS_ENDPOINT, DNS, and the way out of this network",
    "timeout": "check COS_ENDPOINT, and the way out of this network",
    "clock": "set the clock of this machine: sudo timedatectl set-ntp true",
    "token": "check COS_API_KEY and COS_AUTH_ENDPOINT",
}


def _explain(error: StoreError) -> Finding:
    remedy = _REMEDIES.get(error.reason, "try again; see the store's status page")
    return fail(str(error), remedy, error.reason)


class BucketChecks:
    """write: the store with the processor's credentials; manage: with the gallery's."""

    def __init__(self, write: ObjectStore, manage: ObjectStore) -> None:
        self._write = write
        self._manage = manage
        self._key = f"{OWN}doctor-{secrets.token_hex(8)}"

    async def check_write(self) -> Finding:
        """Writes the object that `check_read` reads and `check_delete` deletes."""
        new = NewObject(self._key, _BODY, "text/plain", {}, hashlib.sha256(_BODY).hexdigest())
        try:
            await asyncio.to_thread(self._write.put, new)
        except StoreError as error:
            return _explain(error)
        return ok(f"the processor may write to {self._write.name}")

    async def check_read(self) -> Finding:
        try:
            body = await asyncio.to_thread(self._read)
        except StoreError as error:
            return _explain(error)
        if body != _BODY:
            return fail("what was written reads differently", "use another store", "altered")
        return ok("the gallery may read")

    def _read(self) -> bytes:
        return self._manage.get(self._key).read()

    async def check_list(self) -> Finding:
        try:
            found = await asyncio.to_thread(self._list)
        except StoreError as error:
            return _explain(error)
        if not found:
            return fail(
                "what was written is not listed", "the gallery needs a store that lists", "altered"
            )
        return ok("the gallery may list")

    def _list(self) -> bool:
        pages = self._manage.pages(OWN)
        return any(one.key == self._key for page in pages for one in page)

    async def check_delete(self) -> Finding:
        reason = await self.remove(self._key)
        if reason:
            return warn(
                f"the gallery may not delete: {self._key} stays, and nobody can delete faces",
                "give the gallery's credentials the role Writer: docs/cloud.md#credentials-untried",
                reason,
            )
        return ok("the gallery may delete")

    async def remove(self, key: str) -> str:
        """Delete an object; the reason if that fails, else nothing."""
        try:
            failed = await asyncio.to_thread(self._manage.delete, [key])
        except StoreError as error:
            return error.reason
        return failed.get(key, "")

    async def check_retention(self, days: int, hours: float) -> Finding:
        """Whether the bucket itself deletes faces after `days`, RETENTION_DAYS."""
        if not days:
            if hours:
                return ok(f"the gallery deletes after {hours:g} h; RETENTION_DAYS=0 sets no rule")
            return warn(
                "faces are kept until somebody deletes them",
                "set RETENTION_DAYS, if the law where you are wants it: docs/privacy.md",
            )
        try:
            rule = await asyncio.to_thread(self._manage.expiry)
        except StoreError as error:
            return warn(
                f"the gallery may not read the bucket's lifecycle: {error}",
                "give it the role Writer; without that, it deletes by itself while it runs",
                error.reason,
            )
        if rule is None:
            return warn(
                "the store has no lifecycle rules: the gallery deletes by itself while it runs",
                "nothing, if the gallery always runs",
            )
        if rule != days:
            return warn(
                f"the bucket has no lifecycle rule of {days} days yet",
                "start the gallery, which sets it",
            )
        return ok(f"the bucket deletes faces after {days} days")
