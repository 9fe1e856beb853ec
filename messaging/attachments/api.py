"""Serves files over HTTP (contract §5)."""

from typing import Annotated, Any

from django.http.response import HttpResponseBase
from ninja import File, Path, Router, Status
from ninja.files import UploadedFile

from accounts.auth import Bearer, Request
from accounts.kernel.errors import DomainError, Forbidden, Refusals
from accounts.kernel.fields import PathId, answers

from . import downloads, services
from .errors import (
    AttachmentInUse,
    NoSuchAttachment,
    QuotaExceeded,
    RangeNotSatisfiable,
    TooLarge,
    UnsupportedType,
)
from .file_types import MARKUP_REFUSED
from .media_keys import MediaKey, SignedKey, make_key
from .schemas import AttachmentOut, MediaKeyOut
from .selectors import attachment_out, readable_attachment

router = Router(tags=["Files"], auth=Bearer())
DOWNLOADER = [MediaKey(), Bearer()]

AttachmentId = Annotated[PathId, Path(example=1, description="`id` of a file")]
UploadedPart = Annotated[UploadedFile, File(description="The file; its type is detected")]

_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_DOWNLOAD: dict[str, Any] = {
    "responses": {
        200: {"description": "The bytes of the file", "content": _BINARY},
        206: {"description": "The bytes of the `Range`", "content": _BINARY},
        302: {"description": "With object storage: a URL that is valid for 5 minutes"},
        304: {"description": "The client has it: `If-None-Match` names its `ETag`"},
    }
}
_DOWNLOADING = answers({}, 401, 404, 416, 422)


@router.post(
    "/attachments",
    response=answers({201: AttachmentOut}, 400, 401, 413, 415, 422, 429, 507),
)
def upload_attachment(request: Request, file: UploadedPart) -> Status[dict[str, Any]]:
    """Upload a file, to attach it to a message.

    The type is detected from the bytes. Metadata of images, such as the place, is removed, and
    orientation applied. A file that no message takes is deleted after 24 hours.
    """
    stored = services.store_upload(caller=request.auth, file=file)
    return Status(201, attachment_out(stored))


@router.get("/attachments/{attachment_id}", response=answers({200: AttachmentOut}, 401, 404, 422))
def read_attachment(request: Request, attachment_id: AttachmentId) -> dict[str, Any]:
    """Read name, type and size of a file.

    For its uploader, and for users who can read the message that it is attached to.
    """
    return attachment_out(readable_attachment(request.auth.user_id, attachment_id))


@router.delete(
    "/attachments/{attachment_id}", response=answers({204: None}, 401, 403, 404, 409, 422)
)
def delete_attachment(request: Request, attachment_id: AttachmentId) -> Status[None]:
    """Delete a file that is attached to no message.

    For its uploader. Files of a message are deleted with it.
    """
    services.delete_attachment(caller=request.auth, attachment_id=attachment_id)
    return Status(204, None)


@router.get(
    "/attachments/{attachment_id}/content",
    auth=DOWNLOADER,
    response=_DOWNLOADING,
    openapi_extra=_DOWNLOAD,
)
def download_attachment(request: Request, attachment_id: AttachmentId) -> HttpResponseBase:
    """Download a file.

    Sign in with the header, or with a media key as `?key=`. Pictures, audio and video are shown in
    place, every other type is a download. One `Range` is answered with 206.
    """
    found = readable_attachment(request.auth.user_id, attachment_id)
    return downloads.content_response(request, found)


@router.get(
    "/attachments/{attachment_id}/thumbnail",
    auth=DOWNLOADER,
    response=_DOWNLOADING,
    openapi_extra=_DOWNLOAD,
)
def download_thumbnail(request: Request, attachment_id: AttachmentId) -> HttpResponseBase:
    """Download the thumbnail of an image.

    A WebP of at most 512 pixels a side; of an animation its first frame.
    """
    found = readable_attachment(request.auth.user_id, attachment_id)
    return downloads.thumbnail_response(request, found)


@router.post("/users/me/media-key", response=answers({200: MediaKeyOut}, 401))
def make_media_key(request: Request) -> SignedKey:
    """Get a key for the addresses of files.

    Append it as `?key=` to `url` and `thumbnail_url`, for an `<img>` that cannot send a header. It
    is valid for one hour, ends with its session, and opens nothing else.
    """
    return make_key(request.auth)


_READING: list[DomainError] = [NoSuchAttachment()]
REFUSALS: Refusals = {
    upload_attachment: [
        TooLarge(),
        UnsupportedType(MARKUP_REFUSED),
        QuotaExceeded(),
    ],
    read_attachment: _READING,
    delete_attachment: [
        *_READING,
        Forbidden("Only the uploader may delete a file"),
        AttachmentInUse(),
    ],
    download_attachment: [*_READING, RangeNotSatisfiable()],
    download_thumbnail: [*_READING, RangeNotSatisfiable()],
}
