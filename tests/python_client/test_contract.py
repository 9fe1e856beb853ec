"""The client's tables and models agree with the server's."""

import ast
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from accounts.schemas import MeOut
from chat_backend_client import close_codes, models
from chat_backend_client.events import CHANGE_KINDS
from messaging.attachments.schemas import AttachmentOut
from messaging.schemas import FoundMessageOut, MyRoomOut, QuoteOut, ReactionOut, ReadOut
from realtime.close_codes import CloseCode
from realtime.protocol.server_frames import MessageKind
from rooms.schemas import MemberOut, ReceiptOut

# Settings of a user or a room that bots do not need.
LEFT_OUT = {"quiet_hours", "muted_until", "notify"}


@pytest.mark.parametrize("code", CloseCode)
def test_close_code_is_followed_by_the_servers_rule(code: CloseCode) -> None:
    assert close_codes.rule_after(code, "").value == code.reconnect.value


def test_ended_session_does_not_reconnect() -> None:
    assert close_codes.rule_after(4401, "session_ended") is close_codes.Reconnect.NO


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (models.Message, FoundMessageOut),
        (models.RoomInfo, MyRoomOut),
        (models.Member, MemberOut),
        (models.Receipt, ReceiptOut),
        (models.Reaction, ReactionOut),
        (models.Quote, QuoteOut),
        (models.Attachment, AttachmentOut),
        (models.User, MeOut),
        (models.Marker, ReadOut),
    ],
)
def test_model_has_the_members_of_the_answer(model: type[Any], schema: type[BaseModel]) -> None:
    assert {one.name for one in fields(model)} == set(schema.model_fields) - LEFT_OUT


def test_all_kinds_of_changes_are_known() -> None:
    assert set(MessageKind.__args__) == CHANGE_KINDS  # type: ignore[attr-defined]


def test_client_imports_nothing_of_the_server() -> None:
    allowed = {*sys.stdlib_module_names, "httpx", "websockets"}
    for file in Path(models.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, file.name
