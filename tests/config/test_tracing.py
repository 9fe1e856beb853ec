"""Ids of requests, and what is kept of an exception's words."""

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
def test_the_id_of_a_proxy_is_taken(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) == offered


@pytest.mark.parametrize(
    "offered", ["short", "a" * 65, "with space in it", "line\nbreak-in-it", "quote-\"'<in it", ""]
)
def test_an_id_that_is_not_safe_to_print_is_not_taken(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) not in ("", offered)


def test_of_two_ids_none_is_taken() -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope("0123456789", "abcdefghij")) not in ("0123456789", "abcdefghij")


def test_without_a_proxy_nobody_chooses_an_id(server: Server) -> None:
    answers = [
        httpx.get(f"{server.http}/healthz", headers={"X-Request-ID": "0123456789abcdef"})
        for _ in range(2)
    ]
    first, second = (answer.headers["X-Request-ID"] for answer in answers)
    assert len(first) == len(second) == 32
    assert first != second


def test_a_plain_line_ends_with_its_origin() -> None:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextFormatter())
    logger = logging.Logger("test")  # noqa: LOG001 - known to nobody else
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


def test_the_words_of_an_exception_are_kept_when_they_speak_of_code() -> None:
    assert safe_message(AttributeError("no attribute x")) == "no attribute x"
    assert safe_message(ConnectionRefusedError("refused")) == "refused"
    for quoting in (ValueError(TEXT), KeyError(TEXT), Exception(TEXT), UnicodeError(TEXT)):
        assert safe_message(quoting) == OMITTED


def test_a_traceback_without_quotes_tells_the_whole_chain() -> None:
    def fail() -> None:
        try:
            int(TEXT)
        except ValueError as error:
            raise ExceptionGroup(TEXT, [KeyError(TEXT), TypeError("a kind")]) from error

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    told = safe_traceback(raised.value)
    assert TEXT not in told
    kinds = [told.index(kind) for kind in ("ValueError: ", "ExceptionGroup: ", "KeyError: ")]
    assert kinds == sorted(kinds)
    assert "TypeError: a kind" in told
    assert "in fail" in told


def test_what_asyncio_shows_of_a_lost_task_is_not_kept() -> None:
    lost = {"msg": f"Task exception was never retrieved\nfuture: {TEXT}"}
    slow = {"msg": "Executing %s took", "args": (f"<Task finished exception=E({TEXT!r})>",)}
    called = {"msg": f"Exception in callback deliver(5, {TEXT!r}, partial(print)) at hub.py:4"}
    for told, kept in (
        (lost, "Task exception was never retrieved"),
        (slow, "Executing <Task finished"),
        (called, "Exception in callback deliver"),
    ):
        record = logging.makeLogRecord({"name": "asyncio", **told})
        RedactTokens(quoting=False).filter(record)
        assert record.getMessage() == kept


def test_an_exception_as_argument_is_not_quoted() -> None:
    record = logging.makeLogRecord({"msg": "failed: %s", "args": (ValueError(TEXT),)})
    RedactTokens(quoting=False).filter(record)
    assert record.getMessage() == f"failed: ValueError: {OMITTED}"
