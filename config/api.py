"""Builds the NinjaAPI: routers, body parser and renderer.

Errors are in `error_answers.py`.
"""

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from ninja import NinjaAPI, Swagger
from ninja.errors import HttpError
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from pydantic_core import from_json
from typing_extensions import override

from accounts.api import router as accounts_router
from accounts.kernel.errors import (
    MAX_MEMBERS,
    TOO_MANY_MEMBERS,
    Invalid,
    sentence_of,
)
from accounts.kernel.json_answers import encode_json
from messaging.api import router as messaging_router
from messaging.attachments.api import router as attachments_router
from messaging.changes_api import router as changes_router
from messaging.push.api import router as push_router
from messaging.search.api import router as search_router
from rooms.api import router as rooms_router

from . import VERSION
from .error_answers import add_error_handlers
from .request_rates import count_requests

log = logging.getLogger(__name__)

DESCRIPTION = """
To try the operations here, run **Accounts → POST /api/login** (or **POST /api/register**), copy
`access` from the answer, press **Authorize** and paste it.

Every error has a stable `code` for programs and a `detail` for people. Lists come in pages of
`limit`; the `Link` header leads to the next one. Times are in UTC.

### Where the sockets are

| URL | Room |
|---|---|
| `/ws/chat/<room_name>/` | public, made on first use |
| `/ws/chat/group/<room_name>/` | group, members only |
| `/ws/private/<username>/` | you and one other |
| `/ws/events/` | all of your rooms on one socket |

Send the token as `Authorization: Bearer`, as subprotocols `bearer, <token>`, as `?token=`, or as
`token` in the first frame. Every frame, with an example, is in
[docs/websocket.md](/docs/websocket.md), and for programs in [asyncapi.json](/api/asyncapi.json).
"""

MAX_ANONYMOUS_BODY = 65_536
"""Bytes of a body without authentication, which no limit per user covers."""


class StrictParser(Parser):
    """Parses JSON by RFC 8259: no NaN, no lone surrogates, limited nesting."""

    @override
    def parse_body(self, request: HttpRequest) -> Any:
        """Parses the body.

        Ninja wraps each exception in HttpError; `http_error` unwraps it.
        """
        # Ninja sets `auth` for operations that authenticate.
        if len(request.body) > MAX_ANONYMOUS_BODY and not hasattr(request, "auth"):
            raise RequestDataTooBig
        try:
            body = from_json(request.body, allow_inf_nan=False)
        except ValueError as error:
            raise HttpError(400, f"The body is not JSON: {error}") from error
        if isinstance(body, dict) and len(body) > MAX_MEMBERS:
            raise Invalid(sentence_of(TOO_MANY_MEMBERS), errors=TOO_MANY_MEMBERS)
        return body


class Utf8Renderer(JSONRenderer):
    """Encodes answers by `accounts.kernel.json_answers`."""

    @override
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return encode_json(data)


api = NinjaAPI(
    title="Chat backend",
    version=VERSION,
    description=DESCRIPTION,
    parser=StrictParser(),
    renderer=Utf8Renderer(),
    docs=Swagger(settings={"persistAuthorization": True, "displayRequestDuration": True}),
)
api.add_decorator(count_requests)
api.add_router("", accounts_router)
api.add_router("", rooms_router)
api.add_router("", messaging_router)
api.add_router("", search_router)
api.add_router("", changes_router)
api.add_router("", attachments_router)
api.add_router("", push_router)
add_error_handlers(api)
