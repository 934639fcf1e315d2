"""Real web servers in front of the gallery, with the configurations that docs/proxy.md shows."""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from testing.host.wait import free_port, listening, until
from testing.network.pki import Identity
from testing.services.process import ROOT, Process

NAME = "faces.example.com"


class WebServer(Process, ABC):
    """`with Nginx(...) as server`: TLS at `https://faces.example.com:{server.port}`, on loopback.

    `upstream`: host and port of the gallery; `base`: the path below which it is, or nothing.
    """

    kind: str

    def __init__(self, folder: Path, upstream: str, identity: Identity, base: str = "") -> None:
        self.port = free_port()
        self._identity = identity
        folder.mkdir(parents=True, exist_ok=True)
        config = self.configure(self._documented(base).replace("127.0.0.1:9104", upstream), folder)
        path = folder / f"{self.kind}.conf"
        path.write_text(config)
        binary = shutil.which(self.kind, path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary, f"apt install {self.kind}"
        super().__init__([binary, *self.arguments(path)], {"HOME": str(folder)})

    @abstractmethod
    def configure(self, site: str, folder: Path) -> str:
        """All of the configuration around a site."""

    @abstractmethod
    def arguments(self, path: Path) -> list[str]:
        """The program's arguments, with its configuration at `path`."""

    def start(self) -> None:
        super().start()
        until(lambda: listening(self.port) or not self.running, what=f"{self.kind} listens")
        assert self.running, self.log

    def _documented(self, base: str) -> str:
        page = (ROOT / "docs" / "proxy.md").read_text()
        blocks = re.findall(rf"```{self.kind}\n(.*?)```", page, re.DOTALL)
        return self.below(blocks, base) if base else str(blocks[0])

    @abstractmethod
    def below(self, blocks: list[str], base: str) -> str:
        """The site with the gallery below the path `base`."""


class Nginx(WebServer):
    kind = "nginx"

    def below(self, blocks: list[str], base: str) -> str:
        return blocks[0].replace("location / {", f"location {base}/ {{")

    def configure(self, site: str, folder: Path) -> str:
        site = site.replace("443", f"127.0.0.1:{self.port}")
        site = site.replace("/etc/ssl/faces.crt", str(self._identity.cert))
        site = site.replace("/etc/ssl/faces.key", str(self._identity.key))
        # In one process, which ends with it; root's, who may read what a test writes. It compresses
        # whatever it may.
        return (
            f"daemon off;\nmaster_process off;\nuser root;\npid {folder}/nginx.pid;\n"
            "error_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
            "gzip on;\ngzip_types *;\ngzip_proxied any;\ngzip_min_length 0;\n"
            f"{site}}}\n"
        )

    def arguments(self, path: Path) -> list[str]:
        return ["-p", str(path.parent), "-e", "stderr", "-c", str(path)]


class StrippingNginx(Nginx):
    """It takes the path away from what it passes on."""

    def below(self, blocks: list[str], base: str) -> str:
        return re.sub(r"(proxy_pass [^;]+);", r"\1/;", super().below(blocks, base))


class Caddy(WebServer):
    kind = "caddy"

    def below(self, blocks: list[str], base: str) -> str:
        return blocks[1].replace("/faces", base)

    def configure(self, site: str, folder: Path) -> str:
        address = f"https://{NAME}:{self.port}"
        own = f"tls {self._identity.cert} {self._identity.key}\n\tbind 127.0.0.1\n\tencode gzip"
        site = site.replace(f"{NAME} {{", f"{address} {{\n\t{own}")
        return f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"

    def arguments(self, path: Path) -> list[str]:
        return ["run", "--adapter", "caddyfile", "--config", str(path)]
