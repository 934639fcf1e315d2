"""Somebody with a browser, as far as HTTP goes: a login, cookies, pages."""

from __future__ import annotations

import http.cookiejar
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request

REF = re.compile(r'"/face/([0-9a-f]{20})')


class Visitor:
    """Of one gallery, by its URL without a slash at its end."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.cookies),
            urllib.request.HTTPSHandler(context=context),
        )

    def open(
        self, path: str, form: dict[str, str] | None = None, accept: str = "*/*"
    ) -> tuple[int, bytes]:
        """Status and body of a path's page, where its redirections lead; a form is posted."""
        body = urllib.parse.urlencode(form).encode() if form is not None else None
        # As a browser says of what a page of the gallery itself sends.
        headers = {"Accept": accept, **({"Origin": self.url} if body is not None else {})}
        request = urllib.request.Request(f"{self.url}{path}", body, headers)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def log_in(self, name: str, password: str) -> int:
        """Fill in the form as it is, hidden fields too; the status of where that leads."""
        _, page = self.open("/login")
        hidden = re.findall(
            r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"', page.decode()
        )
        form = {**dict(hidden), "username": name, "password": password}
        return self.open("/login", form)[0]

    def faces(self, device: str = "") -> list[str]:
        """The refs on the first page, newest first, of one device or of all."""
        path = f"/?device={device}" if device else "/"
        return list(dict.fromkeys(REF.findall(self.open(path)[1].decode())))

    def image(self, ref: str) -> bytes:
        status, body = self.open(f"/image/{ref}")
        assert status == 200, (status, body)
        return body
