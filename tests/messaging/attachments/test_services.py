"""Quota, rate, expiry, and files that go with their messages and rooms."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import Busy, Invalid, RateLimited
from accounts.kernel.rate_limits import buckets, parse_rate
from messaging.attachments import image_runner, storage
from messaging.attachments.errors import NoSuchAttachment, QuotaExceeded, TooLarge
from messaging.attachments.expiry import erase_expired
from messaging.attachments.selectors import readable_attachment
from messaging.attachments.services import store_upload
from messaging.attachments.spool import open_spool
from messaging.models import Attachment, Message
from rooms.services import delete_room
from tests.factories import (
    draft,
    make_caller,
    make_room,
    run_concurrently,
    store_message,
    store_now,
)
from tests.pictures import picture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("cheap_passwords", "unlimited"),
]


def upload(caller: Caller, data: bytes = b"%PDF-1.7 text", name: str = "a.pdf") -> Attachment:
    with open_spool() as spool:
        spool.write(data)
        return store_upload(caller=caller, file=UploadedFile(spool, name, size=len(data)))


def files_in(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def expire(*ids: int) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Attachment.objects.filter(pk__in=ids).update(expires_at=past)


def test_quota_counts_all_files_of_a_user(settings: Settings, media: Path) -> None:
    settings.CHAT_UPLOAD_QUOTA = 100
    ila, maya = make_caller(), make_caller()
    first = upload(ila, b"%PDF-" + bytes(75))
    with pytest.raises(QuotaExceeded):
        upload(ila, b"%PDF-" + bytes(16))
    upload(ila, b"%PDF-" + bytes(15))
    upload(maya, b"%PDF-" + bytes(75))
    assert len(files_in(media)) == 3
    expire(first.pk)
    assert erase_expired() == 1
    upload(ila, b"%PDF-" + bytes(75))


def test_uploads_at_once_do_not_exceed_the_quota_together(settings: Settings) -> None:
    settings.CHAT_UPLOAD_QUOTA = 250
    ila = make_caller()
    outcomes = run_concurrently(*[lambda: upload(ila, b"%PDF-" + bytes(95)) for _ in range(4)])
    assert sum(isinstance(one, Attachment) for one in outcomes) == 2
    assert sum(isinstance(one, QuotaExceeded) for one in outcomes) == 2


def test_rate_counts_refused_files_too(settings: Settings) -> None:
    settings.CHAT_UPLOAD_RATE = parse_rate("2/h")
    buckets.clear()
    ila = make_caller()
    with pytest.raises(Invalid):
        upload(ila, picture()[:60])
    upload(ila)
    with pytest.raises(RateLimited):
        upload(ila)
    buckets.clear()


def test_size_is_limited_to_the_byte(settings: Settings) -> None:
    settings.CHAT_ATTACHMENT_SIZE = 100
    ila = make_caller()
    assert upload(ila, b"%PDF-" + bytes(95)).size == 100
    with pytest.raises(TooLarge):
        upload(ila, b"%PDF-" + bytes(96))
    settings.CHAT_ATTACHMENT_SIZE = None
    upload(ila, b"%PDF-" + bytes(96))


def test_unused_upload_is_deleted_after_a_day(media: Path) -> None:
    ila = make_caller()
    file = upload(ila, picture(), "cat.png")
    assert file.expires_at is not None
    assert timedelta(hours=23.9) < file.expires_at - timezone.now() <= timedelta(hours=24)
    assert len(files_in(media)) == 2
    assert erase_expired() == 0
    expire(file.pk)
    with pytest.raises(NoSuchAttachment):
        readable_attachment(ila.user_id, file.pk)
    out = StringIO()
    call_command("purge_attachments", stdout=out)
    assert "Deleted 1 files" in out.getvalue()
    assert files_in(media) == []
    assert not Attachment.objects.exists()


def test_expired_file_cannot_be_attached() -> None:
    ila = make_caller()
    room = make_room(owner=[ila.user_id])
    file = upload(ila)
    expire(file.pk)
    (outcome,) = store_now(draft(ila, room, attachments=(file.pk,)))
    assert isinstance(outcome, Invalid)


def test_two_messages_of_a_batch_cannot_have_one_file() -> None:
    ila = make_caller()
    room = make_room(owner=[ila.user_id])
    file = upload(ila)
    first, second = store_now(*[draft(ila, room, attachments=(file.pk,)) for _ in range(2)])
    assert not isinstance(first, Exception)
    assert isinstance(second, Invalid)
    attached = Attachment.objects.get(pk=file.pk)
    assert attached.message_id == Message.objects.get().pk
    assert attached.expires_at is None


def test_purged_room_loses_its_files(media: Path) -> None:
    ila = make_caller()
    room = make_room(owner=[ila.user_id])
    store_message(ila, room, attachments=(upload(ila, picture(), "cat.png").pk,))
    delete_room(user_id=ila.user_id, room_id=room.pk)
    assert len(files_in(media)) == 2
    call_command("purge_rooms", stdout=StringIO())
    assert files_in(media) == []
    assert not Attachment.objects.exists()


def test_storage_that_takes_no_files_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    saved: list[str] = []

    def fail_at_second(key: str, file: object) -> None:
        saved.append(key)
        if len(saved) == 2:
            raise OSError("no space")
        real_save(key, file)  # type: ignore[arg-type]

    real_save = storage.save
    monkeypatch.setattr(storage, "save", fail_at_second)
    with pytest.raises(Busy):
        upload(make_caller(), picture(), "cat.png")
    assert len(saved) == 2
    assert files_in(media) == []
    assert not Attachment.objects.exists()


def test_image_that_a_busy_host_does_not_clean_in_time_is_answered_busy(
    monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.setattr(image_runner, "PROCESS_TIMEOUT", 0.001)
    with pytest.raises(Busy):
        upload(make_caller(), picture(), "cat.png")
    assert files_in(media) == []
    assert not Attachment.objects.exists()


def test_file_that_the_storage_does_not_delete_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    ila = make_caller()
    files = [upload(ila), upload(ila)]
    expire(*[file.pk for file in files])

    def fail_for_first(key: str) -> None:
        if key == files[0].key:
            raise OSError("away")
        real_delete(key)

    real_delete = storage.delete
    with monkeypatch.context() as broken:
        broken.setattr(storage, "delete", fail_for_first)
        assert erase_expired() == 1
    assert erase_expired() == 1
    assert files_in(media) == []
