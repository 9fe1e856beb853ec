"""Logs hold no token, and lose nothing else."""

import logging
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost

from accounts.models import Session
from accounts.tokens import mint
from config.observability.logs import (
    MAX_LOGGED_LENGTH,
    ClientFaults,
    DropFrameContents,
    RedactTokens,
    guard_server_logs,
    redact,
)
from config.observability.sentry import clean_event

TOKEN = mint(Session(pk=7, user_id=3, refresh_jti="a" * 32)).access
SECRET = TOKEN.split(".")[2]


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, StringIO]]:
    """A logger whose handler redacts, and what it wrote."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactTokens())
    logger = logging.Logger("test")  # noqa: LOG001 - no other module knows it
    logger.addHandler(handler)
    yield logger, written
    handler.close()


Log = tuple[logging.Logger, StringIO]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"/ws/chat/sports/?token={TOKEN}&since=5", "/ws/chat/sports/?token=[token]&since=5"),
        (f"GET /?token={TOKEN.replace('.', '%2E')} HTTP", "GET /?token=[token] HTTP"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [token]"),
        (f'{{"token": "{TOKEN}"}}', '{"token": "[token]"}'),
        ("/?token=opaque&since=5", "/?token=[token]&since=5"),
        (
            "/api/attachments/1/content?key=a:b-c_d&x=1",
            "/api/attachments/1/content?key=[token]&x=1",
        ),
        ("a turkey=bird", "a turkey=bird"),
        (f"{TOKEN} and {TOKEN}", "[token] and [token]"),
        (f"/?next=/%3Ftoken%3D{TOKEN}&a=1", "/?next=/%3Ftoken%3D[token]&a=1"),
        (f"{TOKEN.split('.')[0]} alone", "[token] alone"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_a_token_is_taken_out_wherever_it_stands(text: str, clean: str) -> None:
    assert redact(text) == clean


# Of a length with which walking anything twice takes a quarter of a minute, and once a millisecond.
@pytest.mark.parametrize(
    "text",
    [
        "eyJ" * 30_000,
        "eyJ-" * 30_000,
        "eyJ." * 30_000,
        "eyJ%2" * 30_000,
        "eyJaaaaaaaaa " * 8_000,
        "eyJaaaaaaaaaa." * 8_000,
        f"{'eyJ' * 30_000}.",
        "token=" * 30_000,
        "token=%s" * 30_000,
        "eyJtoken=" * 10_000,
    ],
    ids=lambda text: text[:16],
)
def test_no_text_is_walked_twice(text: str) -> None:
    began = time.process_time()  # other processes do not lengthen it
    redact(text)
    assert time.process_time() - began < 2


def test_what_is_long_is_cut_once_however_many_filters_it_passes(log: Log) -> None:
    log[0].addFilter(RedactTokens())
    address = f"/?{'a' * 100_000}"
    log[0].warning('"GET %s" %d', address, 200)
    log[0].warning(address)
    first, second = log[1].getvalue().splitlines()
    assert first.startswith('"GET /?aaa')
    assert first.endswith('… (100002 characters)" 200')
    assert second.endswith("… (100002 characters)")
    assert len(second) == MAX_LOGGED_LENGTH


@pytest.mark.parametrize("left", range(0, len(TOKEN) + 40, 20))
def test_a_token_that_is_cut_in_two_stays_secret(log: Log, left: int) -> None:
    log[0].warning("%s", f"{'-' * (MAX_LOGGED_LENGTH - left)} {TOKEN} and more")
    assert TOKEN[:16] not in log[1].getvalue()


def test_a_record_is_redacted_once_however_many_filters_it_passes(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[logging.LogRecord] = []
    monkeypatch.setattr(RedactTokens, "_redact", lambda _, record: passes.append(record))
    log[0].addFilter(RedactTokens())
    log[0].warning("one")
    log[0].warning("two")
    assert [record.msg for record in passes] == ["one", "two"]


def rewrite_message(record: logging.LogRecord) -> bool:
    record.msg, record.args = f"now {TOKEN}", ()
    return True


def rewrite_arguments(record: logging.LogRecord) -> bool:
    record.args = (TOKEN,)
    return True


@pytest.mark.parametrize("rewrite", [rewrite_message, rewrite_arguments])
def test_a_record_rewritten_between_two_filters_is_redacted_again(log: Log, rewrite: Any) -> None:
    log[0].addFilter(RedactTokens())
    log[0].addFilter(rewrite)
    log[0].warning("%s", "before")
    assert "[token]" in log[1].getvalue()
    assert SECRET not in log[1].getvalue()


def test_a_stricter_filter_redacts_again(log: Log) -> None:
    log[0].addFilter(RedactTokens())
    log[0].handlers[0].filters[:] = [RedactTokens(quoting=False)]
    log[0].error("failed", exc_info=ValueError("a message of somebody"))
    assert "a message of somebody" not in log[1].getvalue()


def test_tokens_in_a_message_are_redacted(log: Log) -> None:
    log[0].warning(f"refused {TOKEN}")
    assert log[1].getvalue() == "refused [token]\n"


def test_tokens_in_arguments_are_redacted(log: Log) -> None:
    log[0].warning("%s - %r", f"/?token={TOKEN}", [TOKEN])
    assert log[1].getvalue() == "/?token=[token] - \"['[token]']\"\n"


def test_tokens_in_named_arguments_are_redacted(log: Log) -> None:
    log[0].warning("%(path)s %(status)d", {"path": f"/?token={TOKEN}", "status": 200})
    assert log[1].getvalue() == "/?token=[token] 200\n"


def test_numbers_stay_numbers(log: Log) -> None:
    log[0].warning("%d %5.1f %s %05d", 5, 2.5, None, True)
    assert log[1].getvalue() == "5   2.5 None 00001\n"


def test_clean_arguments_stay_what_they_are(log: Log) -> None:
    log[0].warning("%r %s", ("a", 5), {"b": 6})
    assert log[1].getvalue() == "('a', 5) {'b': 6}\n"


def test_a_placeholder_after_token_stays_one(log: Log) -> None:
    log[0].warning("/?token=%s&since=%d", TOKEN, 5)
    assert SECRET not in log[1].getvalue()
    assert log[1].getvalue().endswith("&since=5\n")


def test_a_message_that_is_an_exception_is_redacted(log: Log) -> None:
    log[0].warning(ValueError(f"bad {TOKEN}"))
    assert log[1].getvalue() == "bad [token]\n"


def test_tokens_in_a_traceback_are_redacted(log: Log) -> None:
    log[0].error("failed", exc_info=ValueError(f"bad {TOKEN}"))
    assert "ValueError: bad [token]" in log[1].getvalue()
    assert SECRET not in log[1].getvalue()


def refused(level: int = logging.ERROR, name: str = "django.security.DisallowedHost") -> Any:
    """What Django logs of a request that it refused."""
    error = DisallowedHost("Invalid HTTP_HOST header")
    info = (DisallowedHost, error, None)
    return logging.LogRecord(name, level, __file__, 1, "refused", (), info)


def test_a_clients_fault_is_a_warning_without_traceback() -> None:
    for record in (
        refused(),
        refused(name="django.security.TooManyFieldsSent"),
        # Of a query or path that is no UTF-8.
        refused(logging.WARNING, "django.request"),
    ):
        assert ClientFaults().filter(record)
        assert (record.levelno, record.levelname) == (logging.WARNING, "WARNING")
        assert record.exc_info is None


def test_our_own_faults_stay_errors_with_traceback() -> None:
    for name in ("django.request", "accounts.kernel.incidents"):
        record = refused(name=name)
        assert ClientFaults().filter(record)
        assert record.levelno == logging.ERROR
        assert record.exc_info


def test_a_clients_fault_is_left_out_where_warnings_are() -> None:
    logger = logging.getLogger("django.security.DisallowedHost")
    logger.setLevel(logging.ERROR)
    try:
        assert not ClientFaults().filter(refused())
    finally:
        logger.setLevel(logging.NOTSET)


def test_a_clients_fault_is_no_event_for_sentry() -> None:
    assert clean_event({}, {"log_record": refused()}) is None
    assert clean_event({}, {"log_record": refused(name="accounts.kernel.incidents")}) is not None


def test_the_loggers_of_the_servers_are_guarded() -> None:
    ours, theirs = StringIO(), StringIO()
    handler = logging.StreamHandler(ours)
    logger, root = logging.getLogger("uvicorn.access"), logging.getLogger()
    before = logger.filters[:]
    logger.addHandler(logging.StreamHandler(theirs))
    logger.propagate = False
    root.addHandler(handler)
    try:
        guard_server_logs()
        logger.warning('%s - "%s %s" %d', "127.0.0.1", "GET", f"/?token={TOKEN}", 200)
    finally:
        root.removeHandler(handler)
        logger.filters[:] = before
    assert ours.getvalue() == '127.0.0.1 - "GET /?token=[token]" 200\n'
    assert theirs.getvalue() == ""


def test_websockets_adds_no_line_for_each_socket(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("uvicorn.error")
    before = logger.filters[:]
    logger.addFilter(DropFrameContents())
    try:
        with caplog.at_level(logging.INFO, "uvicorn.error"):
            for message in ("connection open", "connection closed", "connection rejected"):
                logger.info(message)
    finally:
        logger.filters[:] = before
    assert caplog.messages == ["connection rejected"]
