"""A real nginx with the file that compose mounts: other ports, certificate and name server."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers import ROOT, free_port
from tests.tls_front import Authority

from .names import name_server

BINARY = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass
class Nginx:
    folder: Path
    plain: int
    secure: int
    own: int
    trusts: ssl.SSLContext

    @property
    def https(self) -> str:
        return f"https://localhost:{self.secure}"

    @property
    def wss(self) -> str:
        return f"wss://localhost:{self.secure}"

    def command(self, *more: str) -> list[str]:
        assert BINARY is not None
        return [BINARY, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), *more]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.https, verify=self.trusts, timeout=10)

    def log_with(self, text: str) -> str:
        """All that was logged, once this is there: a line is written after the answer has left."""
        deadline = time.monotonic() + 10
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return self.log()

    def log(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def write_file(nginx: Nginx, names: int, port: int, authority: Authority) -> None:
    folder = nginx.folder
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in TEMPORARY)
    instead = {
        "http {\n": f"http {{\n{temporary}",
        "events {": f"pid {folder}/nginx.pid;\nevents {{",
        "resolver 127.0.0.11 valid=5s": f"resolver 127.0.0.1:{names} valid=1s",
        "app:8000": f"app:{port}",
        "listen 80 ": f"listen 127.0.0.1:{nginx.plain} ",
        "listen 443 ": f"listen 127.0.0.1:{nginx.secure} ",
        "127.0.0.1:8081": f"127.0.0.1:{nginx.own}",
        "/dev/stderr": f"{folder}/error.log",
        "/dev/stdout": f"{folder}/access.log",
        "/etc/nginx/tls/fullchain.pem": str(authority.chain),
        "/etc/nginx/tls/privkey.pem": str(authority.key),
        # Needs privileges that tests do not have everywhere.
        "worker_rlimit_nofile 131072;": "",
        "worker_connections 65536;": "worker_connections 512;",
    }
    text = (ROOT / "docs/deploy/nginx.conf").read_text()
    for old, new in instead.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)


@contextmanager
def nginx_running(
    folder: Path, addresses: tuple[str, ...], port: int, authority: Authority
) -> Iterator[Nginx]:
    """In front of the servers at these addresses, all at one port."""
    trusts = ssl.create_default_context(cafile=authority.file)
    nginx = Nginx(folder, free_port(), free_port(), free_port(), trusts)
    with name_server(*addresses) as names:
        write_file(nginx, names, port, authority)
        running = subprocess.Popen(nginx.command("-g", "daemon off;"))
        try:
            _wait_until_up(nginx, running)
            yield nginx
        finally:
            running.terminate()
            running.wait(10)


def _wait_until_up(nginx: Nginx, running: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while True:
        assert running.poll() is None, nginx.log()
        try:
            httpx.get(f"http://127.0.0.1:{nginx.own}/")
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
