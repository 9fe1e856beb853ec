"""The playground checks frames while they are typed, by the AsyncAPI document of the server."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from playwright.sync_api import Browser, expect

from tests.servers import Server

from .two_users import Playground
from .watched_page import watched

CHECKED = {
    *("$ref", "type", "const", "enum", "anyOf", "oneOf", "required", "properties"),
    *("additionalProperties", "items", "minLength", "maxLength", "pattern", "minimum", "maximum"),
    *("exclusiveMaximum", "maxItems", "maxProperties"),
}
FOR_READERS = {"title", "description", "default", "examples", "format"}
PROBLEMS = {
    "{": "Not JSON: ",
    "[]": "A frame is one JSON object",
    '{"type":"mesage","message":"x"}': 'unknown type. Known: "message", "typing"',
    '{"type":"message"}': "message: is missing",
    '{"type":"message","message":"x","clientid":"1"}': "clientid: unknown member. Known: ",
    '{"type":"message","message":"x","client_id":""}': "client_id: needs 1 or more characters",
    '{"type":"message","message":7}': "message: must be string, not number",
    '{"type":"read","seq":"2"}': "seq: must be integer, not string",
    '{"type":"read","seq":-1}': "seq: must be at least 0",
    '{"type":"message","message":"x","attachments":[1,"2"]}': "attachments[1]: must be integer",
}
CHECK = """
async ([document, union, frames]) => {
  const { Schemas } = await import("/static/web/playground/schema.js");
  const schemas = new Schemas(document);
  return frames.map((frame) => schemas.check(frame, { $ref: `#/components/schemas/${union}` }));
}
"""


@pytest.fixture
def playground(browser: Browser, site: Server) -> Iterator[Playground]:
    with watched(browser, site.http) as seen:
        opened = Playground(seen.page)
        opened.by_own_button()
        yield opened
        seen.check()


def test_page_says_exactly_what_is_wrong_while_typing(playground: Playground) -> None:
    for text, problem in PROBLEMS.items():
        expect(playground.write_frame("left", text)).to_contain_text(problem)
        button = playground.panel("left").locator(".raw button")
        expect(button).to_have_text("Send it anyway")
    expect(playground.write_frame("left", '{"type":"ping"}')).to_have_text("Valid: ping")
    expect(playground.write_frame("left", '{"typing":true}')).to_have_text("Valid: typing")


def test_invalid_frame_is_sent_anyway_and_the_server_agrees(playground: Playground) -> None:
    playground.send_frame("left", '{"type":"message","mesage":"x","ref":"typo"}')
    playground.expect_in_log("left", "invalid: ")
    playground.send_frame("left", "{")
    playground.expect_in_log("left", "bad_frame: This frame is not JSON")
    playground.expect_state("left", "open")


def test_every_example_is_valid_and_fits_the_room(playground: Playground) -> None:
    playground.say("left", "A first message to refer to")
    playground.expect_ladder("ok", "No gap up to version 1")
    panel = playground.panel("left")
    panel.locator(".raw > summary").click()
    examples = panel.get_by_label("Example")
    names = examples.locator("option").all_inner_texts()[1:]
    assert len(names) > 10
    for name in names:
        examples.select_option(label=name)
        expect(playground.page.locator("#left-check")).to_contain_text("Valid: ")
        text = panel.locator("textarea").input_value()
        assert "eyJ" not in text
        if "file" not in name and not name.startswith("exit"):
            panel.locator(".raw button").click()
    playground.send_frame("left", '{"type":"ping","ref":"after all of them"}')
    expect(panel.locator(".log-sent").first).to_contain_text("pong in")
    assert panel.locator(".log-bad").all_inner_texts() == []


def keywords(schema: Any) -> set[str]:
    """Returns the keywords in a schema and all schemas in it."""
    found = set(schema)
    for name, value in schema.items():
        inside: list[Any] = []
        if name == "properties":
            inside = list(value.values())
        elif name in ("items", "additionalProperties") and isinstance(value, dict):
            inside = [value]
        elif name in ("anyOf", "oneOf"):
            inside = value
        for one in inside:
            found |= keywords(one)
    return found


def test_document_uses_no_keyword_that_the_page_ignores(site: Server) -> None:
    schemas = httpx.get(f"{site.http}/api/asyncapi.json").json()["components"]["schemas"]
    used = set().union(*(keywords(schema) for schema in schemas.values()))
    assert used <= CHECKED | FOR_READERS


def broken(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields frames that differ from a valid one in one member."""
    for name in frame:
        for value in (None, "", "x" * 5000, -1, 1.5, 10**31, True, [], ["x"], {}, {"x": -1}):
            yield frame | {name: value}
        yield {key: value for key, value in frame.items() if key != name}
    yield frame | {"extra": 1}
    yield frame | {"room_id": 1, "receiver": 2}


@pytest.mark.parametrize("union", ["ClientFrame", "EventsClientFrame", "ServerFrame"])
def test_page_and_jsonschema_agree(playground: Playground, site: Server, union: str) -> None:
    document = httpx.get(f"{site.http}/api/asyncapi.json").json()
    components = document["components"]
    names = [one["$ref"].rpartition("/")[2] for one in components["schemas"][union]["oneOf"]]
    valid = [one["payload"] for name in names for one in components["messages"][name]["examples"]]
    frames = [*valid, *(one for frame in valid for one in broken(frame))]
    verdicts = playground.page.evaluate(CHECK, [document, union, json.loads(json.dumps(frames))])
    schema = copy.deepcopy(document) | {"$ref": f"#/components/schemas/{union}"}
    validator = jsonschema.Draft202012Validator(schema)
    assert verdicts[: len(valid)] == [[]] * len(valid)
    different = [
        (frame, problems)
        for frame, problems in zip(frames, verdicts, strict=True)
        if validator.is_valid(frame) != (not problems)
    ]
    assert different == []
