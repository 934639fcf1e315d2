"""Who has signed in: a random token in the browser's cookie, of which we keep the digest only."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from common.runtime.workers import Workers
from gallery import metrics
from gallery.auth.session_store import SessionStore
from gallery.auth.users import Account, User, Users

IDLE = 12 * 3600.0  # seconds without a request after which a session ends
LONGEST = 7 * 86_400.0  # seconds after which it ends in any case
MOST_EACH = 50  # sessions of one user, who may not push out those of others
MOST = 1000  # sessions, about 1 MB; one more ends the one that was idle longest
KEEP_SEEN = 300.0  # seconds between two writes of when a session was last used
TOKEN = 43  # characters: 256 bits, base64


@dataclasses.dataclass(eq=False)
class Session:
    """One user's session in one browser."""

    digest: str
    user: User
    mark: str  # of the account as it was
    made: float  # unix seconds, as all times here
    seen: float
    written: float  # `seen`, as the file has it
    streams: set[asyncio.Timeout] = dataclasses.field(default_factory=set)

    def left(self, now: float) -> float:
        """Seconds until it ends, if no request comes. A clock that was put back ends none."""
        return min(self.seen + IDLE, self.made + LONGEST) - now


class Sessions:
    """All sessions, in memory and saved. Call it from the event loop only.

    clock: unix seconds.
    """

    def __init__(self, path: Path, users: Users, clock: Callable[[], float] = time.time) -> None:
        self._users = users
        self._clock = clock
        self._kept = SessionStore(path)
        self._worker = Workers("sessions")
        self._secret = self._kept.secret()
        self._all: dict[str, Session] = {}
        for digest, name, mark, made, seen in self._kept.rows():
            account = users.get(name)
            if account is not None and account.mark == mark:
                self._all[digest] = Session(digest, account.user, mark, made, seen, seen)
            else:  # the user has gone, or has another password or role
                self._kept.drop(digest)
        for session in [s for s in self._all.values() if s.left(clock()) <= 0]:
            self._kept.drop(session.digest)
            del self._all[session.digest]
        metrics.SESSIONS.set_function(lambda: len(self._all))

    async def begin(self, account: Account) -> str:
        """Begin a session; its token is returned, and known to nobody but the browser."""
        now = self._clock()
        for session in [session for session in self._all.values() if session.left(now) <= 0]:
            await self.end(session)
        mine = [one for one in self._all.values() if one.user.name == account.user.name]
        if len(mine) >= MOST_EACH:
            await self.end(min(mine, key=lambda session: session.seen))
        while len(self._all) >= MOST:
            await self.end(min(self._all.values(), key=lambda session: session.seen))
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        self._all[digest] = Session(digest, account.user, account.mark, now, now, now)
        await self._worker.run(self._kept.put, (digest, account.user.name, account.mark, now, now))
        return token

    def find(self, token: str) -> Session | None:
        """The session of a browser's token, which counts as used; None if it has ended."""
        if len(token) != TOKEN:
            return None
        # By its digest: how long a look-up takes tells nothing of any token.
        session = self._all.get(_digest(token))
        now = self._clock()
        if session is None or session.left(now) <= 0:
            return None
        session.seen = now
        if abs(now - session.written) > KEEP_SEEN:
            session.written = now
            self._worker.run(self._kept.seen, session.digest, now)
        return session

    async def end(self, session: Session) -> None:
        """End a session, and what is still being sent to it."""
        if self._all.pop(session.digest, None) is None:
            return
        for stream in session.streams:
            stream.reschedule(asyncio.get_running_loop().time())
        await self._worker.run(self._kept.drop, session.digest)

    def close(self) -> None:
        """Let go of the file; what changes from now on is not kept."""
        self._kept.close()

    def remaining(self, session: Session) -> float:
        """Seconds for which something may be sent to it without a further request of its own."""
        if self._all.get(session.digest) is not session:
            return 0.0
        return max(0.0, session.made + LONGEST - self._clock())

    def device(self, cookie: str, name: str) -> str:
        """The browser that this cookie is of, if `name` has been signed in there; else nothing."""
        account = self._users.get(name)
        nonce, _, _ = cookie.partition(".")
        if account is None or not hmac.compare_digest(
            cookie.encode("utf-8", "surrogatepass"), self._signed(nonce, account).encode()
        ):
            return ""
        return nonce

    def device_cookie(self, account: Account) -> str:
        """What tells later that `account` has been signed in from this browser."""
        return self._signed(secrets.token_hex(8), account)

    def _signed(self, nonce: str, account: Account) -> str:
        text = f"device {nonce} {account.mark}".encode("utf-8", "surrogatepass")
        return f"{nonce}.{hmac.digest(self._secret, text, 'sha256').hex()}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
