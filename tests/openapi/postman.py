"""The document imported into Postman and run request by request, as somebody would who tries the API.

Examples of the document name the first of each kind: room 1, message 1, the user `kaushal`. So the
database is new, and holds just these. The document shows no token that works: those are pasted, as a
person would. What takes something away comes last, and the sign-out after all.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from .tools import run

Schema = dict[str, Any]
PASSWORD = "password123"
# The settings that the README names for the import.
IMPORT = "folderStrategy=Tags,parametersResolution=Example,enableOptionalParameters=false"
LAST = [
    "DELETE /api/sessions/:session_id",
    "POST /api/rooms/:room_id/leave",
    "DELETE /api/rooms/:room_id/members/:username",
    "DELETE /api/rooms/:room_id/messages/:message_id",
    "DELETE /api/rooms/:room_id",
    "POST /api/users/me/password",
    "POST /api/logout",
]


def run_collection(document: Path, http: str, folder: Path) -> int:
    """Imports, pastes tokens, runs: how many requests there were. Each must answer 2xx."""
    imported, ready, report = (folder / name for name in ("c.json", "ready.json", "report.json"))
    run("openapi2postmanv2", "-s", str(document), "-o", str(imported), "-O", IMPORT)
    token, pasted = prepare(http)
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


def prepare(http: str) -> tuple[str, dict[str, Schema]]:
    """What the examples name, in an empty database; the token, and what to paste where."""
    with httpx.Client(base_url=f"{http}/api") as api:
        asha = post(api, "/register", username="asha", password=PASSWORD)
        post(api, "/login", username="asha", password=PASSWORD)  # session 2
        post(api, "/register", username="kaushal", password=PASSWORD)
        other = post(api, "/login", username="asha", password=PASSWORD)
        api.headers["Authorization"] = f"Bearer {asha['access']}"
        post(api, "/rooms", name="general")
        post(api, "/rooms", name="lobby")
        post(api, "/rooms/1/messages", content="Hello")
    return asha["access"], {
        "POST /api/token/refresh": {"body": {"refresh": other["refresh"]}},
        "POST /api/token/verify": {"body": {"token": asha["access"]}},
        # Room 1 is deleted later on, by its owner.
        "POST /api/rooms/:room_id/leave": {"variables": {"room_id": "2"}},
    }


def post(api: httpx.Client, path: str, **body: Any) -> Schema:
    answer: Schema = api.post(path, json=body).raise_for_status().json()
    return answer


def in_order(collection: Schema) -> list[Schema]:
    """The requests of all folders, those of LAST at the end."""
    requests = [item for folder in collection["item"] for item in folder["item"]]
    rank = {name: number for number, name in enumerate(LAST)}
    assert rank.keys() <= {name_of(item["request"]) for item in requests}
    return sorted(requests, key=lambda item: rank.get(name_of(item["request"]), -1))


def name_of(request: Schema) -> str:
    return f"{request['method']} /{'/'.join(request['url']['path'])}"


def paste(item: Schema, pasted: dict[str, Schema]) -> None:
    request = item["request"]
    values = pasted.get(name_of(request), {})
    if "body" in values:
        request["body"]["raw"] = json.dumps(values["body"])
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
