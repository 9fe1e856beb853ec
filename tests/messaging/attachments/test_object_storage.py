"""Files in a bucket, with the S3 API of moto's server."""

import time
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from config.doctor.storage import check_storage
from config.env import Environment
from config.settings import object_storage
from messaging.attachments import storage
from tests.clients import fresh, register
from tests.pictures import picture
from tests.servers import Server, serving

BUCKET = "chat-files"
PDF = b"%PDF-1.7 text"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of an S3 API with an empty bucket."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def on_bucket(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    client(bucket).create_bucket(Bucket=BUCKET)
    settings = {
        "STORAGE_BUCKET": BUCKET,
        "STORAGE_ENDPOINT_URL": bucket,
        "STORAGE_REGION": "us-east-1",
        "STORAGE_ACCESS_KEY_ID": "key",
        "STORAGE_SECRET_ACCESS_KEY": "secret",
    }
    with serving("uvicorn", tmp_path_factory.mktemp("bucket"), **settings) as server:
        yield server


def client(url: str):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def keys(url: str) -> list[str]:
    return [one["Key"] for one in client(url).list_objects_v2(Bucket=BUCKET).get("Contents", [])]


async def test_bucket_serves_files_by_a_short_lived_url(bucket: str, on_bucket: Server) -> None:
    ila = await register(on_bucket.http, on_bucket.ws)
    sent = [("cat.png", picture()), ("plan <b>.pdf", PDF)]
    cat, plan = [(await ila.http.post("/attachments", files={"file": one})).json() for one in sent]
    assert len(keys(bucket)) == 3
    for file, content_type, disposition in (
        (cat, "image/png", "inline"),
        (plan, "application/octet-stream", "attachment"),
    ):
        answer = await ila.http.get(on_bucket.http + file["url"])
        assert answer.status_code == 302
        assert answer.headers["cache-control"] == "private"
        url = answer.headers["location"]
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["300"]
        content = httpx.get(url)
        assert content.status_code == 200
        assert content.headers["content-type"] == content_type
        assert content.headers["content-disposition"].startswith(disposition)
        assert len(content.content) == file["size"]
    thumbnail = await ila.http.get(on_bucket.http + cat["thumbnail_url"])
    assert httpx.get(thumbnail.headers["location"]).headers["content-type"] == "image/webp"
    await ila.http.aclose()


async def test_deleted_message_deletes_the_objects(bucket: str, on_bucket: Server) -> None:
    ila = await register(on_bucket.http, on_bucket.ws)
    room = fresh("files")
    made = await ila.post("/rooms", {"name": room})
    before = keys(bucket)
    file = (await ila.http.post("/attachments", files={"file": ("cat.png", picture())})).json()
    body = {"room": room, "content": "", "attachments": [file["id"]]}
    message = (await ila.post("/messages", body)).json()
    assert len(keys(bucket)) == len(before) + 2
    path = f"/rooms/{made.json()['id']}/messages/{message['id']}"
    assert (await ila.delete(path)).status_code == 204
    deadline = time.monotonic() + 10
    while keys(bucket) != before:
        assert time.monotonic() < deadline
    await ila.http.aclose()


def test_missing_bucket_is_an_error_of_the_storage(bucket: str, settings: Settings) -> None:
    env = Environment(
        _env_file=None,
        storage_bucket="nowhere",
        storage_endpoint_url=bucket,
        storage_access_key_id="key",
        storage_secret_access_key="secret",
    )
    settings.STORAGES = settings.STORAGES | {"default": object_storage(env)}
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.save(storage.new_key(), BytesIO(PDF))
    settings.CHAT_OBJECT_STORAGE = True
    assert "does not store files" in [*check_storage()][-1].sentence
