"""The collection as Postman's own command line reads and runs it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.openapi.tour import LAST, prepare, rank
from tests.pictures import picture

from .npm import POSTMAN_CLI, run_tool
from .paths import COLLECTION, ENVIRONMENT, POSTMAN

Request = dict[str, Any]
LATER = 1_000_000
"""Above the `order` of all requests."""
TOTALS = re.compile(r"\| +(\w+) \| +(\d+) \| +(\d+) \|")
DEFINITION = ".resources/definition.yaml"
ASSERT_2XX = {
    "type": "http:afterResponse",
    "code": "pm.test('2xx', () => pm.expect(pm.response.code).to.be.within(200, 299));",
}


def lint(folder: Path) -> int:
    """Checks the files by Postman's schema; returns how many it read."""
    report = run_tool(
        *(POSTMAN_CLI, "collection", "lint", str(POSTMAN / COLLECTION)),
        *("--fail-severity", "warning", "--reporter", "json"),
        home=folder,
    )
    return int(json.loads(report)["filesScanned"])


def run_collection(http: str, folder: Path) -> int:
    """Runs all HTTP requests on what their examples name; returns how many there were.

    The token is the one that the login stores. Raises AssertionError if a request is not answered
    with 2xx.
    """
    _, pasted = prepare(http)
    picture_file = folder / "cat.png"
    picture_file.write_bytes(picture())
    count = flatten(folder / "flat", pasted, picture_file)
    printed = run_tool(
        *(POSTMAN_CLI, "collection", "run", str(folder / "flat")),
        *("--environment", str(POSTMAN / ENVIRONMENT)),
        *("--env-var", f"baseUrl={http}", "--env-var", "username=asha"),
        *("--timeout-request", "10000", "--disable-unicode"),
        home=folder,
    )
    totals = {row: (int(done), int(failed)) for row, done, failed in TOTALS.findall(printed)}
    assert totals["requests"] == totals["assertions"] == (count, 0), printed
    return count


def flatten(target: Path, pasted: dict[str, Request], file: Path) -> int:
    """Copies the HTTP requests into one folder, those of LAST at the end."""
    source = POSTMAN / COLLECTION
    root = read(source / DEFINITION)
    write(target / DEFINITION, root | {"scripts": [ASSERT_2XX]})
    requests = [(path, read(path)) for path in sorted(source.rglob("*.request.yaml"))]
    requests = [one for one in requests if one[1]["$kind"] == "http-request"]
    names = {name_of(request) for _, request in requests}
    assert set(LAST) <= names, set(LAST) - names
    for path, request in requests:
        paste(request, pasted.get(name_of(request), {}), file)
        folder_order = read(path.parent / DEFINITION)["order"]
        request["order"] += folder_order * 100 + (rank(name_of(request)) + 1) * LATER
        write(target / path.name, request)
    return len(requests)


def read(path: Path) -> Request:
    entity: Request = yaml.safe_load(path.read_text())
    return entity


def write(path: Path, entity: Request) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(entity, allow_unicode=True))


def name_of(request: Request) -> str:
    path = re.sub(r":(\w+)", r"{\1}", request["url"].removeprefix("{{baseUrl}}"))
    return f"{request['method']} {path}"


def paste(request: Request, values: Request, file: Path) -> None:
    """Fills in what the examples cannot know."""
    for variable in request.get("pathVariables", ()):
        variable["value"] = values.get("variables", {}).get(variable["key"], variable["value"])
    if name_of(request) == "POST /api/register":  # asha exists, and her login comes next
        request["body"]["content"] = '{"username": "ila", "password": "password123"}'
    if request.get("body", {}).get("type") == "formdata":  # a person chooses one
        request["body"]["content"][0]["src"] = str(file)
