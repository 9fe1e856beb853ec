"""Static files: gzip for clients that accept it, ETags, bounded memory."""

import gzip
from pathlib import Path

import httpx
import pytest

from config.static_files import GzipCache
from tests.servers import Server

BUNDLE = "/static/ninja/swagger-ui-bundle.js"
ADMIN_STYLES = "/static/admin/css/base.css"
ICON = "/static/ninja/favicon.png"


def raw(server: Server, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """Returns an answer and its bytes without decompression."""
    with httpx.stream(
        "GET", server.http + path, headers=headers, timeout=20, verify=False
    ) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("path", [BUNDLE, ADMIN_STYLES])
def test_text_is_compressed_for_clients_that_accept_gzip(server: Server, path: str) -> None:
    zipped_answer, zipped = raw(server, path, **{"Accept-Encoding": "gzip, br"})
    plain_answer, plain = raw(server, path, **{"Accept-Encoding": "identity"})
    assert zipped_answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain_answer.headers
    assert gzip.decompress(zipped) == plain
    assert zipped_answer.headers["Content-Length"] == str(len(zipped))
    assert len(zipped) < len(plain) / 3
    assert zipped_answer.headers["ETag"] != plain_answer.headers["ETag"]
    for header in ("Content-Type", "Cache-Control", "Last-Modified"):
        assert zipped_answer.headers[header] == plain_answer.headers[header]
    for answer in (zipped_answer, plain_answer):
        assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_unchanged_file_answers_304(server: Server, encoding: str) -> None:
    first, _ = raw(server, BUNDLE, **{"Accept-Encoding": encoding})
    known = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
    again, body = raw(server, BUNDLE, **known)
    assert (again.status_code, body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Accept-Encoding" in again.headers["Vary"]


def test_images_and_ranges_are_sent_uncompressed(server: Server) -> None:
    icon, _ = raw(server, ICON, **{"Accept-Encoding": "gzip"})
    assert icon.status_code == 200
    assert "Content-Encoding" not in icon.headers
    part, body = raw(server, BUNDLE, **{"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (part.status_code, len(body)) == (206, 10)
    assert "Content-Encoding" not in part.headers
    head = httpx.head(server.http + BUNDLE, headers={"Accept-Encoding": "gzip"}, verify=False)
    assert (head.status_code, head.headers["Content-Encoding"]) == (200, "gzip")
    assert httpx.post(server.http + BUNDLE, verify=False).status_code == 405


def test_cached_bytes_are_in_the_metrics(server: Server) -> None:
    raw(server, BUNDLE, **{"Accept-Encoding": "gzip"})
    lines = httpx.get(f"{server.http}/metrics", timeout=20, verify=False).text.splitlines()
    (value,) = [line.split()[-1] for line in lines if line.startswith("chat_static_cache_bytes")]
    assert float(value) > 100_000


async def test_cached_bytes_stay_within_the_setting(tmp_path: Path) -> None:
    paths = []
    for name in ("first.js", "second.js"):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(name.encode() * 1000)
    size = len(gzip.compress(paths[0].read_bytes(), mtime=0))
    cache = GzipCache(size + 10)
    first = await cache.get(str(paths[0]))
    assert first is not None
    assert await cache.get(str(paths[1])) is None
    paths[0].unlink()  # neither is read again
    paths[1].unlink()
    assert await cache.get(str(paths[0])) is first
    assert await cache.get(str(paths[1])) is None
