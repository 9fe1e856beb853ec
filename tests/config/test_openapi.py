"""The OpenAPI document: valid, complete, and true to the table of errors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from accounts.kernel.errors import DomainError
from config.error_answers import PLAIN, STATUS
from config.openapi import REFUSALS, SOCKET_ONLY, document

Schema = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SERVERS = {"servers": [{"url": "http://127.0.0.1:8000"}]}
ANY_REQUEST = {400: {"bad_json"}, 422: {"invalid"}, 429: {"rate_limited"}, 503: {"busy"}}
VERBS = {
    *("Add", "Change", "Check", "Create", "Delete", "Download", "Edit"),
    *(
        "End",
        "Exchange",
        "Get",
        "Join",
        "Leave",
        "List",
        "Log",
        "Mark",
        "Open",
        "Read",
        "Register",
        "Remove",
        "Send",
        "Upload",
    ),
}


def operations() -> Iterator[tuple[str, Schema]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def responses() -> Iterator[tuple[str, int, Schema]]:
    for name, operation in operations():
        for status, response in operation["responses"].items():
            yield name, int(status), response


def examples_of(media: Schema) -> list[Any]:
    if "example" in media:
        return [media["example"]]
    return [one["value"] for one in media.get("examples", {}).values()]


def check_example(schema: Schema, example: Any, where: str) -> None:
    whole = {**schema, "components": document()["components"]}
    checker = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    problems = [f"{where}: {error.message}" for error in checker.iter_errors(example)]
    assert not problems, problems


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1")
    served = json.loads(json.dumps({**document(), **SERVERS}))
    validate(served)


def test_every_operation_says_what_it_does_and_who_may_call_it() -> None:
    tags = {tag["name"] for tag in document()["tags"] if tag["description"]}
    ids, count = set(), 0
    for name, operation in operations():
        summary = operation["summary"]
        assert summary.split()[0] in VERBS, f"{name}: {summary}"
        assert not summary.endswith("."), name
        assert operation["description"].endswith("."), name
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), name
        assert isinstance(operation["security"], list), name
        assert set(operation["tags"]) <= tags, name
        ids.add(operation["operationId"])
        count += 1
    assert len(ids) == count > 30


def test_only_operations_without_a_token_are_public() -> None:
    public = {name for name, operation in operations() if operation["security"] == []}
    assert public == {
        "POST /api/register",
        "POST /api/login",
        "POST /api/token/refresh",
        "POST /api/token/verify",
    }


def test_every_response_has_an_example_that_fits_its_schema() -> None:
    seen = 0
    for name, status, response in responses():
        assert ("content" in response) == (status not in (204, 302, 304)), f"{name} {status}"
        for media in response.get("content", {}).values():
            for example in examples_of(media):
                check_example(media["schema"], example, f"{name} {status}")
                seen += 1
    assert seen > 300


def test_every_body_and_path_parameter_has_an_example_that_fits() -> None:
    for name, operation in operations():
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                check_example(parameter["schema"], parameter["example"], name)
            assert parameter["description"], f"{name} {parameter['name']}"
    for name, schema in document()["components"]["schemas"].items():
        if name not in ("ErrorOut", "FieldErrorOut"):
            check_example(schema, schema["example"], name)


def test_what_only_a_client_can_know_has_no_example() -> None:
    seen = set()
    for name, operation in operations():
        for parameter in operation["parameters"]:
            if parameter["name"] in ("cursor", "before", "after"):
                seen.add(parameter["name"])
                assert not {"example", "examples", "default"} & parameter.keys(), name
                assert not {"example", "examples", "default"} & parameter["schema"].keys(), name
    assert seen == {"cursor", "before", "after"}
    for name, schema in document()["components"]["schemas"].items():
        if name.endswith("In"):
            assert "client_id" not in schema["example"], name


def test_the_example_of_an_error_has_a_code_of_its_status() -> None:
    codes = document()["components"]["schemas"]["ErrorOut"]["properties"]["code"]["enum"]
    status_of = {error.code: status for error, status in STATUS.items()} | {
        "bad_json": 400,
        "bad_request": 400,
    }
    for name, status, response in responses():
        if status >= 400:
            for example in examples_of(response["content"]["application/json"]):
                assert example["code"] in codes, name
                assert status_of[example["code"]] == status, f"{name}: {example}"
                assert ("errors" in example) == (status == 422), f"{name}: {example}"


def test_the_codes_are_all_that_rest_can_answer() -> None:
    codes = document()["components"]["schemas"]["ErrorOut"]["properties"]["code"]["enum"]
    assert len(codes) == len(set(codes))
    for error in STATUS:
        assert (error.code in codes) == (error not in SOCKET_ONLY), error
    assert {code for code, _ in PLAIN.values()} <= set(codes)


def test_every_refusal_is_declared_and_every_declared_status_has_one() -> None:
    by_name = {function.__name__: errors for function, errors in REFUSALS.items()}
    for name, operation in operations():
        function = re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", operation["operationId"])
        refusals: list[DomainError] = by_name.pop(function, [])
        for error in refusals:
            media = operation["responses"][STATUS[type(error)]]["content"]["application/json"]
            assert error.code in media["examples"], f"{name}: {error.code}"
        for status, response in operation["responses"].items():
            if status >= 400:
                shown = response["content"]["application/json"]["examples"].keys()
                assert shown, f"{name} {status}"
                is_form = status == 400 and "bad_request" in shown
                expected = {"bad_request"} if is_form else ANY_REQUEST.get(status, set())
                assert expected <= shown, f"{name} {status}"
    assert not by_name


@pytest.mark.parametrize(
    ("status", "header"), [(401, "WWW-Authenticate"), (429, "Retry-After"), (503, "Retry-After")]
)
def test_a_refusal_names_its_header(status: int, header: str) -> None:
    found = [response for _, one, response in responses() if one == status]
    assert found
    for response in found:
        assert response["headers"] == {header: {"$ref": f"#/components/headers/{header}"}}


def test_pages_name_the_link_header() -> None:
    paged = 0
    for name, operation in operations():
        if any(parameter["name"] == "limit" for parameter in operation["parameters"]):
            assert "Link" in operation["responses"][200]["headers"], name
            paged += 1
    assert paged == 9


def test_clients_may_leave_out_defaults_and_rely_on_answers() -> None:
    optional = set()
    for name, schema in document()["components"]["schemas"].items():
        left_out = schema.get("properties", {}).keys() - set(schema.get("required", ()))
        if name.endswith("In"):
            for member in left_out:
                assert "default" not in schema["properties"][member], f"{name}.{member}"
        else:
            optional |= {f"{name}.{member}" for member in left_out}
    # On a private room only, and with a 422 only.
    assert optional == {"RoomOut.members", "MyRoomOut.members", "ErrorOut.errors"}


def test_times_are_described_as_such() -> None:
    for schema, member in (("MessageOut", "timestamp"), ("RoomOut", "created_at")):
        found = document()["components"]["schemas"][schema]["properties"][member]
        assert found["format"] == "date-time"
    edited = document()["components"]["schemas"]["MessageOut"]["properties"]["edited_at"]
    assert {"type": "null"} in edited["anyOf"]
    assert any(one.get("format") == "date-time" for one in edited["anyOf"])


def test_the_guide_for_other_apps_names_operations_that_exist() -> None:
    guide = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /api/[^`?\s]*)", guide))
    assert len(named) > 15
    assert {name.removesuffix("/") for name in named} <= {name for name, _ in operations()}
