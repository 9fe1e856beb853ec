"""Admin of messages: a searchable list, and deleting through the service."""

from datetime import datetime
from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.kernel.admin import ReadOnlyAdmin
from accounts.kernel.moderation import Link, StaffAction, link_to, related
from accounts.models import User
from rooms.admin.links import ban_link, room_name
from rooms.admin.search import SEARCH_HELP, SearchableAdmin
from rooms.models import Room

from . import deletion
from .models import Attachment, Message

MAX_SEARCHED_ROWS = 100_000
"""No index leads with the sender, so a search by sender reads this many of the newest messages."""
MAX_SHOWN_LENGTH = 80


def _delete_message(staff_id: int, message: Message) -> bool:
    return deletion.delete_message_as_staff(
        user_id=staff_id, room_id=message.room_id, message_id=message.pk
    )


@admin.register(Message)
class MessageAdmin(SearchableAdmin[Message], ReadOnlyAdmin[Message]):
    list_display = ("id", "in_room", "number", "by", "shown", "sent_at", "edited_at", "deleted")
    list_select_related = ("room", "room__low", "room__high", "sender")
    search_help_text = (
        f"{SEARCH_HELP}. By user, only the newest {MAX_SEARCHED_ROWS:,} messages are searched"
    )
    fields = (
        *("room", "seq", "sender", "text", "created_at", "edited_at", "deleted"),
        *(
            "answer_to",
            "files",
            "reaction_list",
            "client_id",
            "version",
            "created_version",
            "last_change",
        ),
    )
    staff_actions = (
        StaffAction[Message](
            name="delete_messages",
            button="Delete this message",
            list_label="Delete the selected messages",
            permission="messaging.delete_message",
            effect="Text, files and reactions are erased for everyone and cannot be restored. "
            "Connected clients see the deletion at once; the message keeps its number in the room.",
            done="deleted",
            perform=_delete_message,
            applies=lambda message: not message.deleted and message.room.deleted_at is None,
        ),
    )
    column_help: ClassVar = {
        "Room": "The link leads to the room.",
        "Number": "Messages of a room are counted 1, 2, 3 and so on.",
        "Sender": "The link leads to the account.",
        "Text": f"The first {MAX_SHOWN_LENGTH} characters. Empty for a deleted message; texts of "
        "deleted rooms are not shown.",
        "Edited at": "When the sender changed the text last. Earlier texts are not kept.",
        "Deleted": "The sender, an owner, an admin or staff deleted it. The text is gone.",
    }
    field_labels: ClassVar = {
        "seq": "Number in the room",
        "created_at": "Sent at",
        "client_id": "Id of the client",
        "version": "Version",
        "created_version": "First version",
    }
    field_help: ClassVar = {
        "edited_at": "When the sender changed the text last. Earlier texts are not kept.",
        "deleted": "The text is gone; only the number in the room stays.",
        "answer_to": "The message of the same room that this one replies to.",
        "client_id": "Lets the sender's client repeat a send without creating a second message.",
        "version": "The room counts its changes; this is the number of the message's latest one.",
        "created_version": "The number of the change that created the message.",
        "last_change": "The kind of the latest change.",
    }

    @admin.display(description="room")
    def in_room(self, message: Message) -> str:
        return link_to(message.room, room_name(message.room))

    @admin.display(description="number")
    def number(self, message: Message) -> int:
        return message.seq

    @admin.display(description="sender")
    def by(self, message: Message) -> str:
        return link_to(message.sender, message.sender.username)

    @admin.display(description="text")
    def shown(self, message: Message) -> str:
        text = self.text(message)
        return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"

    @admin.display(description="sent at")
    def sent_at(self, message: Message) -> datetime:
        return message.created_at

    @admin.display(description="text")
    def text(self, message: Message) -> str:
        """Hides texts of deleted rooms: members cannot read them, so staff do not either."""
        return message.content if message.room.deleted_at is None else "(the room was deleted)"

    @admin.display(description="answers message")
    def answer_to(self, message: Message) -> str:
        answered = Message.objects.filter(room=message.room_id, pk=message.reply_to or 0).first()
        return link_to(answered, f"number {answered.seq}") if answered else "-"

    @admin.display(description="files")
    def files(self, message: Message) -> str:
        """Hides files of deleted rooms as texts are hidden."""
        if message.room.deleted_at is not None:
            return "(the room was deleted)"
        return ", ".join(one["name"] for one in message.attachments) or "-"

    @admin.display(description="reactions")
    def reaction_list(self, message: Message) -> str:
        return ", ".join(f"{one['emoji']} {one['count']}" for one in message.reactions) or "-"

    @override
    def describe(self, row: Message) -> str:
        text = "deleted already" if row.deleted else f"“{self.shown(row)}”"
        return f"Number {row.seq} in {room_name(row.room)} by {row.sender.username}: {text}"

    @override
    def name_of(self, row: Message) -> str:
        return f"Message {row.seq} in {row.room} by {row.sender.username}"

    @override
    def related_links(self, request: HttpRequest, row: Message) -> list[Link]:
        both = f"#{row.room_id} @{row.sender.username}"
        return [
            *related(request, "All messages of the room", "messaging.message", f"#{row.room_id}"),
            *related(request, "All of the sender here", "messaging.message", both),
            *related(request, "The sender as a member", "rooms.member", both),
            *ban_link(request, row.room, row.sender),
        ]

    @override
    def found(
        self, rows: QuerySet[Message], room: Room | None, user: User | None
    ) -> QuerySet[Message]:
        if room is not None:
            # The same order as by id within a room, but with an index.
            rows = rows.filter(room=room).order_by("-seq")
        if user is None:
            return rows
        rows = rows.filter(sender=user)
        if room is not None:
            return rows.filter(seq__gt=room.last_seq - MAX_SEARCHED_ROWS)
        newest = Message.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        return rows.filter(pk__gt=newest - MAX_SEARCHED_ROWS)


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin[Attachment]):
    """Lists uploads without their content. Files are deleted with their message."""

    list_display = ("id", "by", "shown_name", "content_type", "shown_size", "of", "sent_at")
    list_select_related = ("uploader", "message")
    fields = (
        *("uploader", "message", "name", "content_type", "size", "width", "height"),
        *("created_at", "expires_at"),
    )
    column_help: ClassVar = {
        "Uploader": "The link leads to the account.",
        "Name": "As the uploader's device called the file.",
        "Content type": "Detected from the bytes.",
        "Size": "In bytes.",
        "Message": "Delete the message to delete the file.",
        "Uploaded at": "An upload that no message took is deleted after 24 hours.",
    }
    field_labels: ClassVar = {"created_at": "Uploaded at", "expires_at": "Deleted from"}
    field_help: ClassVar = {
        "expires_at": "When the file is deleted; empty while a message has it.",
    }

    @admin.display(description="uploader")
    def by(self, attachment: Attachment) -> str:
        return link_to(attachment.uploader, attachment.uploader.username)

    @admin.display(description="name")
    def shown_name(self, attachment: Attachment) -> str:
        return attachment.name[:MAX_SHOWN_LENGTH]

    @admin.display(description="size")
    def shown_size(self, attachment: Attachment) -> int:
        return attachment.size

    @admin.display(description="message")
    def of(self, attachment: Attachment) -> str:
        message = attachment.message
        return link_to(message, f"number {message.seq}") if message else "-"

    @admin.display(description="uploaded at")
    def sent_at(self, attachment: Attachment) -> datetime:
        return attachment.created_at
