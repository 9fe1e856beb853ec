"""The document imported into Postman, and the collection run by newman."""

import json
from pathlib import Path

from tests.pictures import picture

from .tools import run
from .tour import LAST, Schema, prepare, rank

# The settings that the README names for the import.
IMPORT = "folderStrategy=Tags,parametersResolution=Example,enableOptionalParameters=false"


def run_collection(document: Path, http: str, folder: Path) -> int:
    """Imports, pastes tokens, runs: how many requests there were.

    Each must answer 2xx.
    """
    imported, ready, report = (folder / name for name in ("c.json", "ready.json", "report.json"))
    run("openapi2postmanv2", "-s", str(document), "-o", str(imported), "-O", IMPORT)
    picture_file = folder / "cat.png"
    picture_file.write_bytes(picture())
    token, pasted = prepare(http)
    pasted["POST /api/attachments"] = {"file": str(picture_file)}
    requests = in_order(json.loads(imported.read_text()))
    for request in requests:
        paste(request, pasted)
    collection = json.loads(imported.read_text()) | {"item": requests}
    ready.write_text(json.dumps(collection))
    run(
        "newman",
        *("run", str(ready), "--env-var", f"bearerToken={token}", "--timeout-request", "10000"),
        *("--reporters", "json", "--reporter-json-export", str(report)),
    )
    answers = json.loads(report.read_text())["run"]["executions"]
    refused = [line for line in map(refusal, answers) if line]
    assert not refused, "\n".join(refused)
    assert len(answers) == len(requests)
    return len(answers)


def in_order(collection: Schema) -> list[Schema]:
    """The requests of all folders, those of LAST at the end."""
    requests = [item for folder in collection["item"] for item in folder["item"]]
    assert set(LAST) <= {name_of(item["request"]) for item in requests}
    return sorted(requests, key=lambda item: rank(name_of(item["request"])))


def name_of(request: Schema) -> str:
    parts = (f"{{{part[1:]}}}" if part[0] == ":" else part for part in request["url"]["path"])
    return f"{request['method']} /{'/'.join(parts)}"


def paste(item: Schema, pasted: dict[str, Schema]) -> None:
    request = item["request"]
    values = pasted.get(name_of(request), {})
    if "body" in values:
        request["body"]["raw"] = json.dumps(values["body"])
    if "file" in values:  # a person chooses one
        request["body"]["formdata"] = [{"key": "file", "type": "file", "src": values["file"]}]
    for variable in request["url"]["variable"]:
        variable["value"] = values.get("variables", {}).get(variable["key"], variable["value"])


def refusal(execution: Schema) -> str | None:
    """Why a request was not answered with 2xx."""
    answer = execution.get("response")
    name = execution["item"]["name"]
    if answer is None:
        return f"{name}: no answer, {execution.get('requestError')}"
    if 200 <= answer["code"] < 300:
        return None
    return f"{name}: {answer['code']} {bytes(answer['stream']['data']).decode()}"
