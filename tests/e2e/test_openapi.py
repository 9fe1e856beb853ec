"""The served OpenAPI document, and whether the server behaves as documented."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from django.test import AsyncClient
from pytest_django import Settings

from config.openapi import document
from tests.clients import fresh
from tests.openapi.tour import PASSWORD, prepare, rank
from tests.pictures import picture
from tests.servers import SECRET_KEY, Server, serving

Schema = dict[str, Any]
PATH = "/api/openapi.json"
FORM = "multipart/form-data"


@pytest.fixture(scope="module")
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Examples name the first room and message, so the server must hold no other."""
    with serving("uvicorn", tmp_path_factory.mktemp("openapi")) as server:
        yield server


def raw(server: Server, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """Returns an answer and its bytes without decompression."""
    with httpx.stream(
        "GET", server.http + path, headers=headers, timeout=20, verify=False
    ) as answer:
        return answer, b"".join(answer.iter_raw())


# Serving


def test_document_names_the_server_url_of_the_request(server: Server) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        answer = httpx.get(server.http + PATH, headers={"Host": host}, verify=False)
        assert answer.json()["servers"] == [{"url": f"http://{host}"}]
        assert answer.headers["Content-Type"] == "application/json"
    assert (
        httpx.get(server.http + PATH, headers={"Host": "evil.example"}, verify=False).status_code
        == 400
    )


async def test_document_names_https_behind_a_trusted_proxy(settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    answer = await AsyncClient().get(PATH, headers={"X-Forwarded-Proto": "https"})
    assert answer.json()["servers"] == [{"url": "https://testserver"}]
    # A cache behind that proxy must not return this answer for http.
    assert "X-Forwarded-Proto" in answer["Vary"]


def test_document_is_compressed_for_clients_that_accept_gzip(server: Server) -> None:
    answer, zipped = raw(server, PATH, **{"Accept-Encoding": "br, gzip;q=0.8"})
    assert answer.headers["Content-Encoding"] == "gzip"
    plain_answer, plain = raw(server, PATH, **{"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain_answer.headers
    assert gzip.decompress(zipped) == plain
    assert len(zipped) < len(plain) / 8
    assert answer.headers["ETag"] != plain_answer.headers["ETag"]
    for one in (answer, plain_answer):
        assert "Accept-Encoding" in one.headers["Vary"]
        assert one.headers["Cache-Control"] == "no-cache"


def test_unchanged_document_answers_304(server: Server) -> None:
    for encoding in ("gzip", "identity"):
        first, _ = raw(server, PATH, **{"Accept-Encoding": encoding})
        known = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
        again, body = raw(server, PATH, **known)
        assert (again.status_code, body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "Accept-Encoding" in again.headers["Vary"]
        other, _ = raw(server, PATH, **known | {"Host": f"localhost:{server.port}"})
        assert other.status_code == 200


def test_document_allows_only_reading(server: Server) -> None:
    head = httpx.head(server.http + PATH, verify=False)
    assert (head.status_code, head.content) == (200, b"")
    refused = httpx.post(server.http + PATH, verify=False)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")


# Content


class Api:
    """A client that calls operations by their name in the document."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in document()["paths"].items()
            for method, operation in methods.items()
        }
        self.answered: set[tuple[str, int, str]] = set()

    def call(
        self, operation_id: str, token: str | None = None, body: Any = None, **values: Any
    ) -> httpx.Response:
        """Fills in examples of the document; unknown arguments go to the query."""
        method, path, operation = self.operations[operation_id]
        filled = {
            one["name"]: values.pop(one["name"], one["example"])
            for one in operation["parameters"]
            if one["in"] == "path"
        }
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent = self._content(operation, body)
        url, more = path.format(**filled), headers | sent.pop("headers", {})
        return self.http.request(method, url, params=values, headers=more, **sent)

    def _content(self, operation: Schema, body: Any) -> Schema:
        """Returns arguments for httpx; a form has a file unless `body` is bytes or dict."""
        kinds = operation.get("requestBody", {}).get("content", {})
        kind = next(iter(kinds), "application/json")
        if kind == FORM and not isinstance(body, bytes):
            return {} if body == {} else {"files": {"file": ("cat.png", picture())}}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return {"content": content if kinds else None, "headers": {"Content-Type": kind}}

    def refused(self, answer: httpx.Response, operation_id: str) -> None:
        """Expects a refusal that equals an example of the operation."""
        *_, operation = self.operations[operation_id]
        body = answer.json()
        declared = operation["responses"].get(answer.status_code)
        assert declared is not None, f"{operation_id}: {answer.status_code} {body}"
        examples = declared["content"]["application/json"]["examples"]
        assert body == examples[body["code"]]["value"], operation_id
        for header in declared.get("headers", ()):
            assert header in answer.headers, operation_id
        self.answered.add((operation_id, answer.status_code, body["code"]))

    def body_example(self, operation_id: str) -> Any:
        *_, operation = self.operations[operation_id]
        if "requestBody" not in operation:
            return None
        if "application/json" not in operation["requestBody"]["content"]:
            return None
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        name = json.dumps(schema).partition("schemas/")[2].partition('"')[0]
        return document()["components"]["schemas"][name]["example"]


def test_every_request_example_is_accepted(fresh_server: Server) -> None:
    with httpx.Client(base_url=fresh_server.http, timeout=20, verify=False) as http:
        accept_examples(Api(http), fresh_server)


def accept_examples(api: Api, fresh_server: Server) -> None:
    token, pasted = prepare(fresh_server.http)
    names = {id_: f"{method} {path}" for id_, (method, path, _) in api.operations.items()}
    for operation_id in sorted(names, key=lambda one: rank(names[one])):
        values = pasted.get(names[operation_id], {})
        body = values.get("body", api.body_example(operation_id))
        *_, operation = api.operations[operation_id]
        used = token if operation["security"] else None
        answer = api.call(operation_id, used, body, **values.get("variables", {}))
        assert answer.status_code in (200, 201, 204), f"{operation_id}: {answer.text}"
        assert answer.status_code in operation["responses"], operation_id


def test_every_documented_refusal_matches_the_server(uvicorn: Server) -> None:
    with httpx.Client(base_url=uvicorn.http, timeout=20, verify=False) as http:
        api = Api(http)
        for refuse in (
            refuse_mistakes,
            refuse_tokens,
            refuse_accounts,
            refuse_rooms,
            refuse_members,
            refuse_messages,
            refuse_changes,
            refuse_push,
            refuse_files,
            refuse_pins,
            refuse_receipts,
        ):
            refuse(api)
    documented = {
        (operation_id, status, code)
        for operation_id, (*_, operation) in api.operations.items()
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get("application/json", {}).get("examples", ())
        # Refusals under overload are in test_limits.py and test_database_outages.py, that of the
        # quota is in messaging/attachments/test_services.py, those of a server without pushes in
        # test_push.py. A room of 101 members would take a minute: see messaging/test_receipts.py.
        if status not in (429, 503, 507) and code not in ("push_off", "room_too_large")
    }
    assert documented - api.answered == set()


def account(api: Api, name: str = "") -> Schema:
    body = {"username": name or fresh("someone"), "password": PASSWORD}
    answer = api.call("register", body=body)
    assert answer.status_code == 201, answer.text
    made: Schema = answer.json()
    return made


def expired(kind: str) -> str:
    claims = {"token_type": kind, "exp": 1, "jti": "late", "user_id": 1, "sid": 1}
    return jwt.encode(claims, SECRET_KEY, "HS256")


def refuse_mistakes(api: Api) -> None:
    token = account(api)["access"]
    for operation_id, (*_, operation) in api.operations.items():
        if "requestBody" in operation:
            api.refused(api.call(operation_id, token, b"{"), operation_id)
        if 422 not in operation["responses"]:
            continue
        media = operation["responses"][422]["content"]["application/json"]
        (error,) = media["examples"]["invalid"]["value"]["errors"]
        (name,) = error["loc"]
        value = {"greater_than_equal": 0, "string_too_long": "x" * 257}.get(error["type"])
        values = {} if value is None else {name: value}
        body = {"unknown": 1} if error["type"] == "extra_forbidden" else {}
        answer = api.call(operation_id, token, body, **values)
        if error["type"] == "missing":
            # The server names every missing member, the example the first.
            assert (answer.status_code, answer.json()["errors"][0]) == (422, error)
            api.answered.add((operation_id, 422, "invalid"))
        else:
            api.refused(answer, operation_id)


def refuse_tokens(api: Api) -> None:
    ended = account(api)
    assert api.call("logout", ended["access"], {}).status_code == 204
    for operation_id, (*_, operation) in api.operations.items():
        if operation["security"]:
            for token in (None, "rubbish", ended["access"], expired("access")):
                body = api.body_example(operation_id)
                api.refused(api.call(operation_id, token, body), operation_id)
    for token in ("rubbish", ended["refresh"], expired("refresh")):
        api.refused(api.call("refreshTokens", body={"refresh": token}), "refreshTokens")
    for token in ("rubbish", ended["access"], expired("access")):
        api.refused(api.call("verifyToken", body={"token": token}), "verifyToken")


def refuse_accounts(api: Api) -> None:
    ila, other = account(api), account(api)
    email = f"{fresh('taken')}@example.com"
    taken = {"username": ila["username"], "password": PASSWORD}
    assert api.call("register", body={"email": email, "password": PASSWORD}).status_code == 201
    wrong = {"old_password": "wrong", "new_password": "a longer sentence"}
    for operation_id, body in (
        ("register", taken),
        ("register", {"username": fresh("new"), "email": email, "password": PASSWORD}),
        ("login", taken | {"password": "wrong"}),
        ("logout", {"refresh": other["refresh"]}),
        ("changeProfile", {"email": "new@example.com", "password": "wrong"}),
        ("changeProfile", {"email": email, "password": PASSWORD}),
        ("changePassword", wrong),
    ):
        api.refused(api.call(operation_id, ila["access"], body), operation_id)
    api.refused(api.call("endSession", ila["access"], session_id=2**40), "endSession")


def room_of(api: Api, owner: Schema, kind: str, *members: Schema) -> Schema:
    body = {"name": fresh("room"), "kind": kind, "members": [one["id"] for one in members]}
    answer = api.call("createRoom", owner["access"], body)
    assert answer.status_code == 201, answer.text
    made: Schema = answer.json()
    return made


def refuse_rooms(api: Api) -> None:
    ila, member = account(api), account(api)
    group = room_of(api, ila, "group", member)
    for operation_id in ("createRoom", "createRoomWithMembers"):
        for body in (
            {"name": group["name"], "members": []},
            {"name": fresh("room"), "members": ["nobody"]},
        ):
            api.refused(api.call(operation_id, ila["access"], body), operation_id)
    for operation_id, (_, path, _) in api.operations.items():
        if "{room_id}" in path:
            body = api.body_example(operation_id)
            api.refused(api.call(operation_id, ila["access"], body, room_id=2**40), operation_id)
    there = {"room_id": group["id"]}
    for operation_id in ("changeRoom", "addMembers"):
        body = api.body_example(operation_id)
        api.refused(api.call(operation_id, member["access"], body, **there), operation_id)
    unknown = {"members": ["nobody"]}
    api.refused(api.call("addMembers", ila["access"], unknown, **there), "addMembers")
    admin = api.call(
        "changeRole", ila["access"], {"role": "admin"}, username=member["username"], **there
    )
    assert admin.status_code == 200, admin.text
    api.refused(api.call("deleteRoom", member["access"], **there), "deleteRoom")
    api.refused(api.call("leaveRoom", ila["access"], **there), "leaveRoom")


def refuse_members(api: Api) -> None:
    ila, admin, outsider = account(api), account(api), account(api)
    group, public = room_of(api, ila, "group", admin), room_of(api, ila, "public")
    there = {"room_id": group["id"]}

    def refuse(operation_id: str, who: Schema, body: Any = None, **values: Any) -> None:
        api.refused(api.call(operation_id, who["access"], body, **values), operation_id)

    role = {"role": "admin"}
    made = api.call("changeRole", ila["access"], role, username=admin["username"], **there)
    assert made.status_code == 200, made.text
    refuse("changeRole", admin, role, username=ila["username"], **there)
    refuse("changeRole", ila, role, username=ila["username"], **there)
    refuse("changeRole", ila, role, username=outsider["username"], **there)
    refuse("removeMember", admin, username=ila["username"], **there)
    refuse("removeMember", ila, username=outsider["username"], **there)
    refuse("openPrivateRoom", ila, username="nobody")
    refuse("openPrivateRoom", ila, username=ila["username"])
    private = api.call("openPrivateRoom", ila["access"], username=admin["username"]).json()
    refuse("leaveRoom", ila, room_id=private["id"])
    refuse("leaveRoom", outsider, room_id=public["id"])
    refuse("markRead", outsider, {"seq": 1}, room_id=public["id"])


def refuse_messages(api: Api) -> None:
    ila, banned = account(api), account(api)
    room = room_of(api, ila, "public", banned)
    there = {"room_id": room["id"], "room_name": room["name"]}
    sent = api.call("sendMessage", ila["access"], {"content": "Hey"}, room_id=room["id"])
    gone = {"username": banned["username"], "room_id": room["id"]}
    assert api.call("removeMember", ila["access"], **gone).status_code == 200
    for operation_id in (
        *("joinRoom", "listMembers", "readMessages", "readMessagesAlias", "readHistory"),
        *("sendMessage", "sendMessageAlias", "sendToRoom", "markRead"),
        *("addReaction", "removeReaction"),
    ):
        _, path, _ = api.operations[operation_id]
        values = {name: value for name, value in there.items() if f"{{{name}}}" in path}
        values |= {"message_id": sent.json()["id"]} if "{message_id}" in path else {}
        body = (api.body_example(operation_id) or {}) | (
            {"room": room["name"]} if operation_id == "sendToRoom" else {}
        )
        api.refused(api.call(operation_id, banned["access"], body, **values), operation_id)
    unknown = fresh("nowhere")
    api.refused(api.call("readHistory", ila["access"], room_name=unknown), "readHistory")
    body = {"room": unknown, "content": "Hey"}
    api.refused(api.call("sendToRoom", ila["access"], body), "sendToRoom")
    for operation_id in ("sendMessage", "sendMessageAlias", "sendToRoom"):
        for body in (
            {"content": "Hey", "username": banned["username"]},
            {"content": "one", "client_id": operation_id},
            {"content": "other", "client_id": operation_id},
        ):
            to_room = operation_id == "sendToRoom"
            where = {"room": room["name"]} if to_room else {}
            values = {} if to_room else {"room_id": room["id"]}
            answer = api.call(operation_id, ila["access"], body | where, **values)
            if answer.status_code != 201:
                api.refused(answer, operation_id)


def refuse_changes(api: Api) -> None:
    ila, member = account(api), account(api)
    room = room_of(api, ila, "public", member)
    token, there = ila["access"], {"room_id": room["id"]}
    ids = [
        api.call("sendMessage", token, {"content": "Hey"}, **there).json()["id"] for _ in range(2)
    ]
    first, second = ({**there, "message_id": one} for one in ids)
    edit = {"content": "Hello"}
    api.refused(api.call("editMessage", member["access"], edit, **first), "editMessage")
    api.refused(api.call("deleteMessage", member["access"], **first), "deleteMessage")
    for operation_id in ("editMessage", "deleteMessage", "addReaction", "removeReaction"):
        nothing = {**there, "message_id": 2**40}
        api.refused(api.call(operation_id, token, edit, **nothing), operation_id)
    assert api.call("deleteMessage", token, **first).status_code == 204
    api.refused(api.call("editMessage", token, edit, **first), "editMessage")
    api.refused(api.call("addReaction", token, **first), "addReaction")
    for number in range(50):
        emoji = chr(0x1F600 + number)
        assert api.call("addReaction", token, emoji=emoji, **second).status_code == 200
    api.refused(api.call("addReaction", token, emoji="🥑", **second), "addReaction")


def refuse_push(api: Api) -> None:
    ila, other = account(api), account(api)
    room = room_of(api, ila, "public")
    silence = {"muted": True}
    api.refused(
        api.call("changeMyRoom", other["access"], silence, room_id=room["id"]), "changeMyRoom"
    )
    assert api.call("joinRoom", other["access"], room_id=room["id"]).status_code == 200
    gone = {"username": other["username"], "room_id": room["id"]}
    assert api.call("removeMember", ila["access"], **gone).status_code == 200
    api.refused(
        api.call("changeMyRoom", other["access"], silence, room_id=room["id"]), "changeMyRoom"
    )
    body = api.body_example("addSubscription")
    mine = body | {"endpoint": f"{body['endpoint']}{fresh('mine')}"}
    assert api.call("addSubscription", ila["access"], mine).status_code == 201
    keys = body["keys"] | {"auth": "AAAAAAAAAAAAAAAAAAAAAA"}
    api.refused(
        api.call("addSubscription", other["access"], mine | {"keys": keys}), "addSubscription"
    )
    more = [body | {"endpoint": f"{mine['endpoint']}{number}"} for number in range(20)]
    answers = [api.call("addSubscription", ila["access"], one) for one in more]
    api.refused(answers[-1], "addSubscription")
    missing = {"subscription_id": 2**40}
    api.refused(api.call("deleteSubscription", ila["access"], **missing), "deleteSubscription")


def refuse_files(api: Api) -> None:
    ila, member = account(api), account(api)
    room = room_of(api, ila, "group", member)
    token = ila["access"]
    file = api.call("uploadAttachment", token).json()
    there = {"attachment_id": file["id"]}
    for operation_id in (
        *("readAttachment", "deleteAttachment", "downloadAttachment", "downloadThumbnail"),
    ):
        api.refused(api.call(operation_id, member["access"], **there), operation_id)
    body = {"content": "", "attachments": [file["id"]]}
    assert api.call("sendMessage", token, body, room_id=room["id"]).status_code == 201
    api.refused(api.call("deleteAttachment", member["access"], **there), "deleteAttachment")
    api.refused(api.call("deleteAttachment", token, **there), "deleteAttachment")
    headers = {"Authorization": f"Bearer {token}"}
    for operation_id, url in (
        ("downloadAttachment", file["url"]),
        ("downloadThumbnail", file["thumbnail_url"]),
    ):
        beyond = api.http.get(url, headers=headers | {"Range": "bytes=999999-"})
        api.refused(beyond, operation_id)
    for data in (b"<html>", bytes(25 * 1024**2 + 1)):
        answer = api.http.post("/api/attachments", headers=headers, files={"file": data})
        api.refused(answer, "uploadAttachment")


def refuse_pins(api: Api) -> None:
    ila, member, stranger = account(api), account(api), account(api)
    room = room_of(api, ila, "public", member)
    group = room_of(api, ila, "group")
    token, there = ila["access"], {"room_id": room["id"]}
    ids = [
        api.call("sendMessage", token, {"content": "Hey"}, **there).json()["id"] for _ in range(102)
    ]
    messages = [{**there, "message_id": one} for one in ids]
    api.refused(api.call("pinMessage", member["access"], **messages[0]), "pinMessage")
    api.refused(api.call("unpinMessage", member["access"], **messages[0]), "unpinMessage")
    for operation_id in ("pinMessage", "unpinMessage"):
        nothing = {**there, "message_id": 2**40}
        api.refused(api.call(operation_id, token, **nothing), operation_id)
        hidden = {"room_id": group["id"], "message_id": 1}
        api.refused(api.call(operation_id, stranger["access"], **hidden), operation_id)
    assert api.call("deleteMessage", token, **messages[0]).status_code == 204
    api.refused(api.call("pinMessage", token, **messages[0]), "pinMessage")
    for message in messages[1:101]:
        assert api.call("pinMessage", token, **message).status_code == 200
    api.refused(api.call("pinMessage", token, **messages[101]), "pinMessage")
    api.call("removeMember", token, **there, username=member["username"])
    for operation_id, query in (("listPins", {}), ("search", {"room": room["id"]})):
        where = query or there
        api.refused(api.call(operation_id, member["access"], **where), operation_id)
        hidden = {"room": group["id"]} if query else {"room_id": group["id"]}
        api.refused(api.call(operation_id, stranger["access"], **hidden), operation_id)


def refuse_receipts(api: Api) -> None:
    ila, member, stranger = account(api), account(api), account(api)
    room, group = room_of(api, ila, "public", member), room_of(api, ila, "group")
    api.call("removeMember", ila["access"], room_id=room["id"], username=member["username"])
    for operation_id in ("listReceipts", "markDelivered"):
        for caller, where in ((stranger, group), (stranger, room), (member, room)):
            answer = api.call(operation_id, caller["access"], {"seq": 1}, room_id=where["id"])
            api.refused(answer, operation_id)
