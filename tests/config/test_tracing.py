"""Request ids, and which exception messages the logs keep."""

import asyncio
import logging
from io import StringIO

import httpx
import pytest
from django.test import override_settings

from accounts.kernel.log_context import begin, note_user
from config.observability.logs import RedactTokens, TextFormatter
from config.observability.request_ids import choose_id
from config.observability.tracebacks import OMITTED, safe_message, safe_traceback
from tests.servers import Server

TEXT = "said in confidence"


def scope(*ids: str) -> dict[str, object]:
    return {"headers": [(b"x-request-id", one.encode("latin-1")) for one in ids]}


@pytest.mark.parametrize("offered", ["0123456789abcdef", "trace-1.of_proxy", "a" * 64])
def test_id_of_a_trusted_proxy_is_used(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) == offered


@pytest.mark.parametrize(
    "offered", ["short", "a" * 65, "with space in it", "line\nbreak-in-it", "quote-\"'<in it", ""]
)
def test_unsafe_id_is_replaced(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) not in ("", offered)


def test_two_ids_are_replaced() -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope("0123456789", "abcdefghij")) not in ("0123456789", "abcdefghij")


def test_client_id_without_a_proxy_is_replaced(server: Server) -> None:
    answers = [
        httpx.get(
            f"{server.http}/healthz", headers={"X-Request-ID": "0123456789abcdef"}, verify=False
        )
        for _ in range(2)
    ]
    first, second = (answer.headers["X-Request-ID"] for answer in answers)
    assert len(first) == len(second) == 32
    assert first != second


def test_text_line_ends_with_its_context() -> None:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextFormatter())
    logger = logging.Logger("test")  # noqa: LOG001 - not registered
    logger.addHandler(handler)

    async def request() -> None:
        begin("request_id", "0123456789")
        logger.warning("first")
        await asyncio.to_thread(note_user, 7)
        logger.warning("second")

    asyncio.run(request())
    logger.warning("third")
    ends = [line.partition("test: ")[2] for line in written.getvalue().splitlines()]
    assert ends == ["first [0123456789]", "second [0123456789 user 7]", "third"]


def test_exception_message_is_kept_for_safe_types_only() -> None:
    assert safe_message(AttributeError("no attribute x")) == "no attribute x"
    assert safe_message(ConnectionRefusedError("refused")) == "refused"
    for quoting in (ValueError(TEXT), KeyError(TEXT), Exception(TEXT), UnicodeError(TEXT)):
        assert safe_message(quoting) == OMITTED


def test_safe_traceback_has_the_whole_chain_without_messages() -> None:
    def fail() -> None:
        try:
            int(TEXT)
        except ValueError as error:
            raise ExceptionGroup(TEXT, [KeyError(TEXT), TypeError("a kind")]) from error

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    text = safe_traceback(raised.value)
    assert TEXT not in text
    kinds = [text.index(kind) for kind in ("ValueError: ", "ExceptionGroup: ", "KeyError: ")]
    assert kinds == sorted(kinds)
    assert "TypeError: a kind" in text
    assert "in fail" in text


def test_task_details_in_asyncio_logs_are_removed() -> None:
    lost = {"msg": f"Task exception was never retrieved\nfuture: {TEXT}"}
    slow = {"msg": "Executing %s took", "args": (f"<Task finished exception=E({TEXT!r})>",)}
    called = {"msg": f"Exception in callback deliver(5, {TEXT!r}, partial(print)) at hub.py:4"}
    for fields, kept in (
        (lost, "Task exception was never retrieved"),
        (slow, "Executing <Task finished"),
        (called, "Exception in callback deliver"),
    ):
        record = logging.makeLogRecord({"name": "asyncio", **fields})
        RedactTokens(quoting=False).filter(record)
        assert record.getMessage() == kept


def test_exception_as_log_argument_loses_its_message() -> None:
    record = logging.makeLogRecord({"msg": "failed: %s", "args": (ValueError(TEXT),)})
    RedactTokens(quoting=False).filter(record)
    assert record.getMessage() == f"failed: ValueError: {OMITTED}"
