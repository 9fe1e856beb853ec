"""Files over real servers: uploads, downloads, hostile files (contract §5)."""

import asyncio
import socket
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.clients import Frame, Person, Socket, fresh, opened, register, rest, signed_in_again
from tests.conftest import Register
from tests.pictures import SECRET, animation, exif, huge_png, picture
from tests.pictures import opened as image_of
from tests.servers import Server, serving

PDF = b"%PDF-1.7\n%" + bytes(range(256)) * 20
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


async def upload(
    person: Person, data: bytes, name: str = "notes.pdf", claimed: str = "application/pdf"
) -> httpx.Response:
    return await person.http.post("/attachments", files={"file": (name, data, claimed)})


async def uploaded(person: Person, data: bytes = PDF, name: str = "notes.pdf") -> Frame:
    answer = await upload(person, data, name)
    assert answer.status_code == 201, answer.text
    body: Frame = answer.json()
    return body


async def fetch(person: Person, path: str, **headers: str) -> httpx.Response:
    return await person.http.get(person.url + path, headers=headers)


async def send(person: Person, room: str, *ids: int, **more: Any) -> httpx.Response:
    body = {"room": room, "content": "", "attachments": list(ids), **more}
    return await person.post("/messages", body)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def files_of(server: Server) -> list[Path]:
    media = Path(server.environment["MEDIA_ROOT"])
    return [path for path in media.rglob("*") if path.is_file()]


# Uploads


async def test_uploaded_file_is_downloaded_unchanged(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila, PDF, "plan.pdf")
    assert file == {
        "id": file["id"],
        "name": "plan.pdf",
        "content_type": "application/pdf",
        "size": len(PDF),
        "width": None,
        "height": None,
        "url": f"/api/attachments/{file['id']}/content",
        "thumbnail_url": None,
    }
    assert (await ila.get(f"/attachments/{file['id']}")).json() == file
    answer = await fetch(ila, file["url"])
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="plan.pdf"'
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert (await fetch(ila, f"/api/attachments/{file['id']}/thumbnail")).status_code == 404


async def test_image_is_shown_in_place_without_metadata(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila, picture("JPEG", (1200, 800), exif=exif(6)), "beach.jpg")
    assert (file["content_type"], file["width"], file["height"]) == ("image/jpeg", 800, 1200)
    answer = await fetch(ila, file["url"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"].startswith("inline")
    assert len(answer.content) == file["size"]
    assert SECRET not in answer.content
    thumbnail = await fetch(ila, file["thumbnail_url"])
    assert thumbnail.headers["content-type"] == "image/webp"
    assert image_of(thumbnail.content).size == (341, 512)


async def test_animation_keeps_its_frames(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila, animation("GIF", comment=SECRET), "wave.gif")
    content = (await fetch(ila, file["url"])).content
    assert SECRET not in content
    assert image_of(content).n_frames == 3  # type: ignore[attr-defined]


def _zip_bomb() -> bytes:
    output = BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50_000_000))
    return output.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (_zip_bomb(), "bomb.zip"),
        (b"GIF89a=1;alert(1)//" + HTML, "poly.gif.txt"),
        (b"plain text", "page.html"),
        (b"alert(document.cookie)", "script.js"),
        (b"MZ\x90\0" + bytes(200), "setup.exe"),
    ],
    ids=["zip bomb", "polyglot", "html name", "script", "program"],
)
async def test_hostile_file_is_refused_or_only_downloaded(
    person: Register, data: bytes, name: str
) -> None:
    ila = await person()
    answer = await upload(ila, data, name, "text/html")
    if answer.status_code == 201:
        content = await fetch(ila, answer.json()["url"])
        assert content.headers["content-type"] == "application/octet-stream"
        assert content.headers["content-disposition"].startswith("attachment")
    else:
        assert code_of(answer) == (422, "invalid")


@pytest.mark.parametrize(
    "data",
    [
        HTML,
        b"\xef\xbb\xbf \n<html>",
        "<script>".encode("utf-16"),
        SVG,
        b'<?xml version="1.0"?>' + SVG,
        b"BM" + bytes(60),
        picture("TIFF", exif=exif()),
    ],
    ids=["html", "mark and spaces", "utf-16", "svg", "xml", "bmp", "tiff"],
)
async def test_markup_and_other_images_are_unsupported(person: Register, data: bytes) -> None:
    answer = await upload(await person(), data, "cat.png", "image/png")
    assert code_of(answer) == (415, "unsupported_type")


async def test_file_that_is_no_image_inside_is_invalid(person: Register) -> None:
    ila = await person()
    cut_off = picture("PNG", (300, 300))[:200]
    assert code_of(await upload(ila, cut_off, "cat.png", "image/png")) == (422, "invalid")
    assert code_of(await upload(ila, b"", "empty.txt")) == (422, "invalid")
    assert code_of(await ila.post("/attachments", {"file": 1})) == (422, "invalid")
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    broken = await ila.http.post("/attachments", content=b"--x\r\nnonsense", headers=form)
    assert code_of(broken) in {(422, "invalid"), (400, "bad_request")}


async def test_pixel_bomb_is_refused_and_costs_the_server_nothing(
    server: Server, person: Register
) -> None:
    ila = await person()
    before = _memory_of(server)
    bomb = huge_png(9000, 9000)
    answer = await upload(ila, bomb, "bomb.png", "image/png")
    assert code_of(answer) == (422, "invalid")
    assert "megapixels" in answer.json()["detail"]
    assert _memory_of(server) - before < 30 * 1024**2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("a\x00b\u202efdp.exe", "abfdp.exe"),
        ("line\nbreak.pdf", "linebreak.pdf"),
        ("été ☀️.pdf", "été ☀.pdf"),
        ("a" * 400 + ".pdf", "a" * 251 + ".pdf"),
    ],
)
async def test_file_name_is_cleaned(
    server: Server, person: Register, name: str, shown: str
) -> None:
    ila = await person()
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
        % (name.replace("\n", "&#10;").encode(), PDF)
    )
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await ila.http.post("/attachments", content=part, headers=form)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"].replace("\ufe0f", "") == shown
    content = await fetch(ila, answer.json()["url"])
    assert content.content == PDF
    assert not [path for path in files_of(server) if "passwd" in path.name]


async def test_large_file_arrives_and_a_larger_one_is_refused(person: Register) -> None:
    ila = await person()
    large = PDF.ljust(25 * 1024**2, b"x")
    file = await uploaded(ila, large)
    assert (await fetch(ila, file["url"])).content == large
    assert code_of(await upload(ila, large + b"x")) == (413, "too_large")
    assert code_of(await upload(ila, large.ljust(26 * 1024**2, b"x"))) == (413, "too_large")


async def test_upload_without_a_length_arrives(person: Register) -> None:
    ila = await person()

    async def pieces() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        for _ in range(20):
            yield PDF
        yield b"\r\n--x--\r\n"

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await ila.http.post("/attachments", content=pieces(), headers=form)
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == 20 * len(PDF)


async def test_anonymous_upload_is_refused_before_its_body(server: Server) -> None:
    for token in (None, "nonsense"):
        async with rest(server.http, token) as anybody:
            answer = await anybody.post("/attachments", files={"file": bytes(5_000_000)})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_aborted_upload_leaves_nothing(server: Server, person: Register) -> None:
    ila = await person()
    before = files_of(server)
    head = (
        "POST /api/attachments HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {ila.access}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000\r\n\r\n--x\r\n"
        'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + bytes(1_000_000))
        await _until(lambda: _open_spools(server) > 0)
    await _until(lambda: _open_spools(server) == 0)
    assert files_of(server) == before


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_upload_to_a_full_disk_is_answered_busy(kind: str, tmp_path: Path) -> None:
    with serving(kind, tmp_path) as server:
        ila = await register(server.http, server.ws)
        async with ila.http:
            # No file grows beyond it, the next write fails; databases and logs stay smaller.
            psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (3_000_000, -1))
            for size in (3_500_000, 20_000_000):
                answer = await upload(ila, PDF.ljust(size, b"x"))
                assert code_of(answer) == (503, "busy")
                assert answer.headers["Retry-After"]
            assert (await upload(ila, PDF)).status_code == 201
        assert "MEDIA_ROOT takes no files" in server.log.read_text()


async def test_fifty_uploads_at_once_take_little_memory(server: Server, person: Register) -> None:
    people = [await person() for _ in range(10)]
    large = PDF.ljust(5_000_000, b"x")
    before, files_before = _memory_of(server), len(files_of(server))
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, _memory_of(server))
            await asyncio.sleep(0.05)

    watching = asyncio.ensure_future(watch())
    answers = await asyncio.gather(*[upload(one, large) for one in people for _ in range(5)])
    watching.cancel()
    assert [answer.status_code for answer in answers] == [201] * 50
    assert len(files_of(server)) == files_before + 50
    # A thread closes a spool after the answer.
    await _until(lambda: _open_spools(server) == 0)
    assert peak - before < 30 * 1024**2


def _memory_of(server: Server) -> int:
    """Returns the bytes of the server's process and its children."""
    process = psutil.Process(server.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _open_spools(server: Server) -> int:
    folder = Path(f"/proc/{server.process.pid}/fd")
    links = [link.readlink() for link in folder.iterdir() if link.is_symlink()]
    return sum("media" in str(link) and "deleted" in str(link) for link in links)


async def _until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# Ranges and conditions


async def test_ranges_and_conditions(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila)
    whole = await fetch(ila, file["url"])
    etag = whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    for sent, expected, shown in (
        ("bytes=0-9", PDF[:10], f"bytes 0-9/{len(PDF)}"),
        ("bytes=100-", PDF[100:], f"bytes 100-{len(PDF) - 1}/{len(PDF)}"),
        ("bytes=-5", PDF[-5:], f"bytes {len(PDF) - 5}-{len(PDF) - 1}/{len(PDF)}"),
        ("bytes=10-99999999", PDF[10:], f"bytes 10-{len(PDF) - 1}/{len(PDF)}"),
    ):
        part = await fetch(ila, file["url"], Range=sent)
        assert (part.status_code, part.content) == (206, expected)
        assert part.headers["content-range"] == shown
        assert part.headers["etag"] == etag
    beyond = await fetch(ila, file["url"], Range=f"bytes={len(PDF)}-")
    assert code_of(beyond) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(PDF)}"
    for sent in ("bytes=5-1", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=x-"):
        assert (await fetch(ila, file["url"], Range=sent)).content == PDF
    known = await fetch(ila, file["url"], **{"If-None-Match": f'"other", {etag}'})
    assert (known.status_code, known.content) == (304, b"")
    changed = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert (await fetch(ila, file["url"], **changed)).status_code == 200
    same = {"Range": "bytes=0-9", "If-Range": etag}
    assert (await fetch(ila, file["url"], **same)).status_code == 206


# Who may


async def test_only_readers_of_the_message_see_its_file(person: Register) -> None:
    ila, maya, outsider = [await person() for _ in range(3)]
    room = fresh("files")
    made = await ila.post("/rooms/with-members", {"name": room, "members": [maya.username]})
    file = await uploaded(ila, picture(), "cat.png")
    paths = [f"/attachments/{file['id']}{end}" for end in ("", "/content", "/thumbnail")]
    for path in paths:
        assert (await ila.get(path)).status_code == 200
        assert code_of(await maya.get(path)) == (404, "no_such_attachment")
    assert (await send(ila, room, file["id"])).status_code == 201
    for path in paths:
        assert (await maya.get(path)).status_code == 200
        assert code_of(await outsider.get(path)) == (404, "no_such_attachment")
        async with rest(ila.url) as anybody:
            assert (await anybody.get(path)).status_code == 401
    assert code_of(await maya.delete(paths[0])) == (403, "forbidden")
    assert code_of(await ila.delete(paths[0])) == (409, "attachment_in_use")
    assert code_of(await outsider.delete(paths[0])) == (404, "no_such_attachment")
    removed = await ila.delete(f"/rooms/{made.json()['id']}/members/{maya.username}")
    assert removed.status_code == 200
    for path in paths:
        assert (await ila.get(path)).status_code == 200
        assert code_of(await maya.get(path)) == (404, "no_such_attachment")


async def test_banned_user_loses_the_files_of_a_public_room(person: Register) -> None:
    ila, maya = await person(), await person()
    room = fresh("files")
    made = (await ila.post("/rooms", {"name": room})).json()
    file = await uploaded(ila)
    await send(ila, room, file["id"])
    assert (await fetch(maya, file["url"])).status_code == 200
    await maya.post(f"/rooms/{made['id']}/join")
    await ila.delete(f"/rooms/{made['id']}/members/{maya.username}")
    assert (await fetch(maya, file["url"])).status_code == 404


async def test_media_key_opens_files_and_nothing_else(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila, picture(), "cat.png")
    async with signed_in_again(ila) as phone, rest(ila.url) as anybody:
        made = (await phone.post("/users/me/media-key")).json()
        assert set(made) == {"key", "expires_at"}
        key = made["key"]
        for path in (file["url"], file["thumbnail_url"]):
            assert (await anybody.get(ila.url + path, params={"key": key})).status_code == 200
        for path in (f"/attachments/{file['id']}", "/users/me", "/my-rooms"):
            assert (await anybody.get(path, params={"key": key})).status_code == 401
            headers = {"Authorization": f"Bearer {key}"}
            assert (await anybody.get(path, headers=headers)).status_code == 401
        for wrong in (key[:-1], key + "x", ila.access, "x" * 5000, "", "é"):
            answer = await anybody.get(ila.url + file["url"], params={"key": wrong})
            assert code_of(answer) == (401, "token_invalid")
        assert (await phone.post("/logout")).status_code == 204
        answer = await anybody.get(ila.url + file["url"], params={"key": key})
        assert code_of(answer) == (401, "session_ended")


async def test_unused_file_is_deleted_by_its_uploader(server: Server, person: Register) -> None:
    ila, maya = await person(), await person()
    before = files_of(server)
    file = await uploaded(ila, picture(), "cat.png")
    assert len(files_of(server)) == len(before) + 2
    path = f"/attachments/{file['id']}"
    assert code_of(await maya.delete(path)) == (404, "no_such_attachment")
    assert (await ila.delete(path)).status_code == 204
    assert code_of(await ila.get(path)) == (404, "no_such_attachment")
    assert code_of(await ila.delete(path)) == (404, "no_such_attachment")
    await _until(lambda: files_of(server) == before)


# Messages


async def test_message_carries_its_files_everywhere(person: Register) -> None:
    ila, maya = await person(), await person()
    room = fresh("files")
    files = [await uploaded(ila, picture(), "cat.png"), await uploaded(ila)]
    ids = [file["id"] for file in files]
    async with opened(ila.public(room), talk := maya.public(room)) as (ready, _):
        sent = await send(ila, room, *ids, client_id="one")
        assert sent.status_code == 201, sent.text
        frame = await talk.receive_type("message")
    message = sent.json()
    assert (message["content"], message["attachments"]) == ("", files)
    assert frame["attachments"] == files
    path = f"/rooms/{ready['room']['id']}/messages"
    for answer in (await maya.get(path), await maya.get("/messages", limit=1)):
        assert answer.json()[-1]["attachments"] == files
    mine = (await maya.get("/my-rooms", limit=1)).json()
    assert mine[0]["last_message"]["attachments"] == files
    async with maya.public(room, since=0) as again:
        replayed = await again.receive_type("message")
    assert replayed["attachments"] == files
    edited = await ila.patch(f"{path}/{message['id']}", {"content": "now with text"})
    assert edited.json()["attachments"] == files
    repeated = await send(ila, room, *ids, client_id="one")
    assert (repeated.status_code, repeated.json()["attachments"]) == (200, files)
    for other in (ids[:1], ids[::-1], []):
        answer = await send(ila, room, *other, client_id="one", content="" if other else "x")
        assert code_of(answer) == (409, "client_id_reused")


async def test_socket_sends_files(person: Register) -> None:
    ila = await person()
    file = await uploaded(ila)
    async with ila.public(fresh("files")) as talk:
        await talk.receive_type("ready")
        await talk.send(type="message", message=" ", attachments=[file["id"]], ref="1")
        frame = await talk.receive_type("message")
        assert (frame["message"], frame["attachments"]) == ("", [file])
        await talk.receive_type("ack")
        await _expect_invalid(talk, file["id"])
        await talk.send(type="message", message="", attachments=[])
        assert (await talk.receive_type("error"))["code"] == "invalid"


async def _expect_invalid(talk: Socket, pk: int) -> None:
    await talk.send(type="message", message="again", attachments=[pk])
    error = await talk.receive_type("error")
    assert (error["code"], error["errors"][0]["loc"]) == ("invalid", ["attachments"])


async def test_message_takes_only_own_unattached_files(person: Register) -> None:
    ila, maya = await person(), await person()
    room = fresh("files")
    await ila.post("/rooms", {"name": room})
    mine, other = await uploaded(ila), await uploaded(maya)
    for ids in ([other["id"]], [2**40], [mine["id"], mine["id"]], [mine["id"], other["id"]]):
        answer = await send(ila, room, *ids)
        assert code_of(answer) == (422, "invalid")
        assert answer.json()["errors"][0]["loc"] == ["attachments"]
    assert code_of(await send(ila, room, *range(1, 12))) == (422, "invalid")
    assert (await send(ila, room, mine["id"])).status_code == 201
    assert code_of(await send(ila, room, mine["id"])) == (422, "invalid")
    at_once = await uploaded(ila)
    answers = await asyncio.gather(*[send(ila, room, at_once["id"]) for _ in range(5)])
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]


async def test_deleted_message_loses_its_files(server: Server, person: Register) -> None:
    ila, maya = await person(), await person()
    room = fresh("files")
    before = files_of(server)
    file = await uploaded(ila, picture(), "cat.png")
    await ila.post("/rooms", {"name": room})
    message = (await send(ila, room, file["id"])).json()
    path = f"/rooms/{message['room_id']}/messages/{message['id']}"
    assert (await fetch(maya, file["url"])).status_code == 200
    assert (await ila.delete(path)).status_code == 204
    for one in (ila, maya):
        assert (await fetch(one, file["url"])).status_code == 404
    assert (await maya.get(f"/rooms/{message['room_id']}/messages")).json()[0]["attachments"] == []
    await _until(lambda: files_of(server) == before)
