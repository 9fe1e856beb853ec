"""Runs nginx with the mounted file, but other ports, certificate and DNS server."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers import ROOT, free_port
from tests.tls_proxy import Authority

from .deployment_page import block
from .dns_server import dns_server_running

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
        """Returns the log once it contains `text`: nginx logs after it has answered."""
        deadline = time.monotonic() + 10
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return self.log()

    def log(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def write_file(nginx: Nginx, there: dict[str, str], text: str) -> None:
    """Replaces the places of servers and certificate in the file by `there`."""
    folder = nginx.folder
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in TEMPORARY)
    instead = {
        "http {\n": f"http {{\n{temporary}",
        "events {": f"pid {folder}/nginx.pid;\nevents {{",
        "listen 80 ": f"listen 127.0.0.1:{nginx.plain} ",
        "listen 443 ": f"listen 127.0.0.1:{nginx.secure} ",
        "127.0.0.1:8081": f"127.0.0.1:{nginx.own}",
        # These directives need privileges that tests may lack.
        "worker_rlimit_nofile 131072;": "",
        "worker_connections 65536;": "worker_connections 512;",
    }
    for old, new in (instead | there).items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)


def _new(folder: Path, authority: Authority) -> Nginx:
    trusts = ssl.create_default_context(cafile=authority.file)
    return Nginx(folder, free_port(), free_port(), free_port(), trusts)


@contextmanager
def nginx_running(
    folder: Path,
    addresses: tuple[str, ...],
    port: int,
    authority: Authority,
    media: str = "/data/media",
) -> Iterator[Nginx]:
    """Yields nginx before the servers at these addresses, on one port as in compose."""
    nginx = _new(folder, authority)
    with dns_server_running(*addresses) as names:
        there = {
            "resolver 127.0.0.11 valid=5s": f"resolver 127.0.0.1:{names} valid=1s",
            "app:8000": f"app:{port}",
            "/dev/stderr": f"{folder}/error.log",
            "/dev/stdout": f"{folder}/access.log",
            "/etc/nginx/tls": str(authority.chain.parent),
            "alias /data/media/": f"alias {media}/",
        }
        write_file(nginx, there, (ROOT / "docs/deploy/nginx.conf").read_text())
        with _started(nginx, None):
            yield nginx


@contextmanager
def nginx_on_a_host(
    folder: Path, addresses: tuple[str, ...], port: int, authority: Authority
) -> Iterator[Nginx]:
    """Yields nginx with the file of the page's command, started as by systemd.

    Its output is a socket, which cannot be opened by a name such as /dev/stderr.
    """
    nginx = _new(folder, authority)
    command = block("sed -E").replace("/etc/nginx/nginx.conf", f"{folder}/made.conf")
    subprocess.run(["sh", "-ec", command], cwd=ROOT, timeout=20, check=True)
    there = {
        "server 127.0.0.1:8000;": "".join(f"server {address}:{port};" for address in addresses),
        "/var/log/nginx/": f"{folder}/",
        "/srv/chat-tls": str(authority.chain.parent),
    }
    write_file(nginx, there, (folder / "made.conf").read_text())
    ours, its = socket.socketpair()
    with ours, its, _started(nginx, its.fileno()):
        yield nginx


@contextmanager
def _started(nginx: Nginx, output: int | None) -> Iterator[None]:
    # Started by root, its workers run as the user `nobody`, which may not read pytest's folders.
    options = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    running = subprocess.Popen(nginx.command("-g", options), stdout=output, stderr=output)
    try:
        _wait_until_up(nginx, running)
        yield
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
