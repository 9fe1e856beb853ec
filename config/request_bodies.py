"""Receives request bodies before Django: into memory, uploads into a file."""

import asyncio
import logging
from typing import Any

from django.conf import settings

from accounts.kernel.errors import DomainError
from realtime.runtime import runtime
from realtime.servers.http_bodies import TOO_LARGE, BodyReader, BodyRefused
from realtime.servers.http_responses import HttpConnection
from realtime.servers.uploads import TOO_LARGE as UPLOAD_TOO_LARGE
from realtime.servers.uploads import Upload, max_upload_size, receive_upload, uploader

from .api_handler import BODY_FILE
from .http_refusals import busy, not_signed_in, refusal_of_body, restarting
from .request_head import RequestHead

log = logging.getLogger(__name__)

BODY_HEADERS = (b"content-length", b"transfer-encoding")


async def read_body(head: RequestHead, receive: Any) -> bytes | None:
    """Reads the whole body, or returns None when the client disconnects.

    Raises Refusal.
    """
    limit: int = settings.CHAT_BODY_SIZE
    try:
        if head.length is not None and head.length > limit:
            raise TOO_LARGE
        return await BodyReader(receive, limit, head.network, runtime.unfinished_bodies).read()
    except BodyRefused as refused:
        raise refusal_of_body(refused) from None


def with_body(body: bytes, receive: Any) -> Any:
    """Returns a `receive` that yields this body, then only a disconnect."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_rest() -> Any:
        if pending:
            return pending.pop()
        while (event := await receive())["type"] == "http.request":
            pass
        return event

    return receive_rest


async def received_upload(
    scope: Any, head: RequestHead, receive: Any, connection: HttpConnection, upload: Upload | None
) -> Upload | None:
    """Returns the whole upload, or None when the client disconnects. Raises Refusal.

    `upload` is one that the server has received already.
    """
    if runtime.lifecycle.stopped:
        raise restarting()
    try:
        user_id = uploader(scope["method"], scope["path"], head.authorization) or 0
    except DomainError as error:
        raise not_signed_in(error) from None
    if connection.refusal is not None:
        raise refusal_of_body(connection.refusal)
    if upload is not None:
        return upload
    try:
        if head.length is not None and head.length > max_upload_size():
            raise UPLOAD_TOO_LARGE
        return await _spooled(receive, runtime.uploads.begin(user_id))
    except BodyRefused as refused:
        raise refusal_of_body(refused) from None


async def _spooled(receive: Any, upload: Upload) -> Upload | None:
    is_whole = False
    try:
        is_whole = await receive_upload(receive, upload)
    except OSError as error:
        log.error("An upload cannot be written to MEDIA_ROOT: %s", error.strerror)  # noqa: TRY400
        raise busy() from None
    finally:
        if not is_whole:
            upload.close()
    return upload if is_whole else None


def with_file(scope: Any, upload: Upload) -> Any:
    """Returns a scope with the body as a file, and with its length.

    Chunked bodies name no length.
    """
    headers = [pair for pair in scope["headers"] if pair[0] not in BODY_HEADERS]
    length = (b"content-length", str(upload.size).encode())
    return scope | {BODY_FILE: upload.file, "headers": [*headers, length]}


def close_after(work: asyncio.Future[None] | None, upload: Upload | None) -> None:
    """Deletes the file once nothing reads it: the thread of a late request still may."""
    if upload is None:
        return
    if work is None or work.done():
        upload.close()
    else:
        work.add_done_callback(lambda _: upload.close())
