"""Tracebacks in logs: which exception messages they keep."""

import asyncio
import logging
from io import StringIO

import pytest

from accounts.kernel.log_context import begin, note_user
from config.observability.logs import RedactTokens, TextFormatter
from config.observability.tracebacks import OMITTED, safe_message, safe_traceback

TEXT = "said in confidence"


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
