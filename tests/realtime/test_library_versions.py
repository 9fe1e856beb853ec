"""Private names of libraries are checked; unknown versions are reported."""

import ast
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from config.doctor import installation
from config.doctor.finding import Finding, Level
from realtime import library_versions
from realtime.cluster import redis_layer
from realtime.library_versions import report_unfamiliar_libraries, unfamiliar_libraries
from realtime.metrics import unknown_versions
from realtime.servers import daphne_http, daphne_sockets, uvicorn_http, uvicorn_sockets
from realtime.servers.daphne_bodies import BODIES
from realtime.servers.required import RequiredNames, missing_names

DOCUMENTED = {
    "realtime/servers/uvicorn_sockets.py": {
        # asyncio's transports, protocols and loops
        *("abort", "call_later", "connection_lost", "data_received", "get_extra_info"),
        *("is_closing", "is_set", "pause_reading", "pause_writing", "resume_reading"),
        *("resume_writing", "set_protocol", "write"),
        *("WARNING", "getLogger", "setLevel"),  # logging
        # websockets' sans-I/O connection and frames
        *("close_rcvd", "data", "data_to_send", "extensions", "fin"),
    },
    "realtime/servers/uvicorn_http.py": {
        # asyncio's transports and protocols
        *("abort", "close", "connection_lost", "connection_made", "data_received"),
        *("get_extra_info", "get_protocol", "is_closing", "write"),
        "ws_per_message_deflate",  # uvicorn.Config
        # h11
        *("Connection", "RemoteProtocolError", "Request", "SERVER", "error_status_hint"),
        *("headers", "next_event", "raw_items", "target"),
        # Found by importing it
        "RequestResponseCycle",
    },
    "realtime/servers/daphne_sockets.py": {
        # Twisted's transports, protocols and factories (twisted.internet.interfaces)
        *("abortConnection", "dataReceived", "pauseProducing", "registerProducer"),
        *("resumeProducing", "transport", "unregisterProducer", "write"),
        # autobahn's hooks (autobahn.websocket.interfaces)
        *("onMessage", "onMessageFrame", "onPing", "onPong", "sendPong"),
        "addBoth",  # a Deferred
        *("call_later", "clear", "set", "wait", "is_set"),  # asyncio
    },
    "realtime/servers/daphne_http.py": {
        # Twisted's transports, protocols and factories (twisted.internet.interfaces)
        *("abortConnection", "connectionLost", "connectionMade", "dataReceived", "getPeer"),
        *("loseConnection", "transport", "HTTPChannel"),
    },
    "realtime/servers/daphne_bodies.py": {
        *("WebRequest", "getRawHeaders", "removeHeader", "transport", "pauseProducing"),
        *("cancel", "decode", "grow", "size", "tell", "write"),
        "rewind",  # an upload of ours
        "_parsePOSTFormSubmission",  # assigned, which `touched` takes for an attribute of ours
    },
    "realtime/servers/http_responses.py": {
        *("get_extra_info", "get_write_buffer_size", "is_closing"),  # asyncio's transports
        *("__module__", "getLogger", "set", "wait", "warning"),
        *("persistent", "transport"),  # assigned, as above
    },
    "realtime/cluster/redis_layer.py": {
        *("group_send", "serialize"),  # Channels' layers
        *("execute", "pipeline", "publish"),  # redis-py
    },
}
"""Documented attributes of libraries. All others must be in REQUIRED."""
PLAIN = {
    "Event",
    "TimerHandle",
    "Transport",
    "__new__",
    "__class__",
    "begin",
    "end",
    "enter",
    "is_too_much",
    "get_running_loop",
    "maxsize",
}
PLAIN |= {"append", "args", "encode", "exception", "func", "get", "items", "values", "join"}
PLAIN |= {"close", "file", "open", "partition", "seek"}
PLAIN |= {"Protocol", "REQUEST_HEADER_FIELDS_TOO_LARGE"}
PLAIN |= {"UVICORN", "FLOW", "TWISTED_REQUEST", "TWISTED_CHANNEL", "TWISTED_TRANSPORT"}


def touched(path: str) -> set[str]:
    """Returns attributes that a module uses, and that its classes did not add."""
    tree = ast.parse((Path(settings.BASE_DIR) / path).read_text())
    found, ours = set(), set(PLAIN)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            overrides = any(ast.unparse(one) == "override" for one in node.decorator_list)
            (found if overrides else ours).add(node.name)
        elif isinstance(node, ast.ClassDef):
            ours |= set(_attributes_of(node))
    return {name for name in found - ours if not name.startswith("CHAT_")}


def _attributes_of(node: ast.ClassDef) -> Iterator[str]:
    """Class attributes, and private ones that a method gives to `self`."""
    for one in node.body:
        for target in _targets(one):
            if isinstance(target, ast.Name):
                yield target.id
    for statement in ast.walk(node):
        for target in _targets(statement):
            for part in ast.walk(target):
                if ast.unparse(part).startswith(("self._", "self.is_")):
                    yield part.attr if isinstance(part, ast.Attribute) else ""


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign) else []


RESPONSES = (*uvicorn_http.RESPONSES, *daphne_http.RESPONSES)
REQUIRED = {
    "realtime/servers/uvicorn_sockets.py": set(uvicorn_sockets.REQUIRED),
    "realtime/servers/uvicorn_http.py": set(uvicorn_http.REQUIRED) - set(RESPONSES),
    "realtime/servers/daphne_sockets.py": set(daphne_sockets.REQUIRED),
    "realtime/servers/daphne_http.py": set(daphne_http.REQUIRED) - {*RESPONSES, *BODIES},
    "realtime/servers/daphne_bodies.py": set(BODIES),
    "realtime/servers/http_responses.py": set(RESPONSES),
    "realtime/cluster/redis_layer.py": set(redis_layer.REQUIRED),
}


@pytest.mark.parametrize("path", REQUIRED)
def test_checked_names_equal_used_names(path: str) -> None:
    required = {name for inside in REQUIRED[path] for name in inside.names}
    assert touched(path) - DOCUMENTED[path] == required - DOCUMENTED[path]


def test_installed_libraries_have_all_required_names() -> None:
    assert unfamiliar_libraries() == []
    assert only(installation.check_libraries()).level is Level.OK


class Renamed:
    """A later version: one name exists, one is set on instances, one is missing."""

    kept = 1

    def __init__(self) -> None:
        self.set_later = 2


def test_name_is_found_on_the_class_and_on_instances() -> None:
    required = (RequiredNames(Renamed, ("kept", "set_later", "gone")),)
    assert missing_names(required) == ("Renamed.gone",)


@pytest.mark.parametrize("lacks", [False, True])
def test_unknown_version_is_reported_in_log_doctor_and_metric(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lacks: bool
) -> None:
    if lacks:
        monkeypatch.setattr(Renamed, "__module__", "uvicorn.later")
        monkeypatch.setattr(uvicorn_sockets, "REQUIRED", (RequiredNames(Renamed, ("gone",)),))
    else:
        monkeypatch.setitem(library_versions.KNOWN_VERSIONS, "uvicorn", "0.55.")
    with caplog.at_level(logging.WARNING):
        report_unfamiliar_libraries()
    (record,) = caplog.records
    assert "uvicorn 0.54" in record.getMessage()
    assert ("Renamed.gone" in record.getMessage()) is lacks
    finding = only(installation.check_libraries())
    assert (finding.level, finding.sentence) == (Level.WARNING, record.getMessage())
    (sample,) = next(iter(unknown_versions.collect())).samples
    assert (sample.labels["library"], sample.value) == ("uvicorn", 1)
    unknown_versions.clear()


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


async def test_unknown_channels_redis_version_sends_messages_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_layer, "CAN_PIPELINE", False)
    sent: list[tuple[str, object]] = []

    class Layer(redis_layer.RedisLayer):
        async def group_send(self, group: str, message: object) -> None:
            sent.append((group, message))

    await Layer(hosts=[]).groups_send({"room.1": {"type": "a"}, "room.2": {"type": "b"}})
    assert sent == [("room.1", {"type": "a"}), ("room.2", {"type": "b"})]
