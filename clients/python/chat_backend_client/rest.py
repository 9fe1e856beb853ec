"""Sends REST requests: signs them, repeats what may be repeated.

Raises refusals.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from .errors import Refused, SignedOut, Unreachable
from .models import Json
from .options import Options
from .reconnect import Backoff
from .tokens import Pair, Tokens

BAD_REQUEST, UNAUTHORIZED, TOO_MANY = 400, 401, 429
BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT = 502, 503, 504
REPEATABLE = frozenset({"GET", "PUT", "PATCH", "DELETE"})
AWAY = frozenset({BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT})
MIN_DELAY, MAX_DELAY = 0.2, 5.0
REFRESH_TIMEOUT = 25.0
"""Less than the 30 s in which the server answers a spent refresh token with the same pair."""


class Rest:
    """The REST API of one server, for one signed-in user."""

    def __init__(self, url: str, tokens_of: Tokens | None, options: Options) -> None:
        self.tokens = tokens_of
        self._options = options
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api", timeout=options.request_timeout, verify=options.verify
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: dict[str, Any] | None = None,
        repeat: bool | None = None,
    ) -> Any:
        """Returns the answer's JSON. Raises Refused, SignedOut, Unreachable.

        `repeat`: whether the request may be sent again after a lost answer, by default all but
        POST.
        """
        if repeat is None:
            repeat = method in REPEATABLE
        return _json(await self._insist(_Call(method, path, body, params=params, repeat=repeat)))

    async def call_unsigned(
        self, path: str, body: Json, *, repeat: bool, within: float | None = None
    ) -> Any:
        """Posts without a token: login, register, refresh, logout."""
        call = _Call("POST", path, body, repeat=repeat, signed=False)
        return _json(await self._insist(call, within))

    async def refresh(self, refresh: str) -> Pair:
        """Repeats a refresh whose answer was lost: it gives the same pair for 30 s."""
        body = await self.call_unsigned(
            "/token/refresh", {"refresh": refresh}, repeat=True, within=REFRESH_TIMEOUT
        )
        try:
            return Pair(body["access"], body["refresh"])
        except (LookupError, TypeError):
            raise Unreachable("The answer is not the chat server's") from None

    async def upload(self, name: str, content: bytes, content_type: str) -> Any:
        """Posts one file. Not repeated after a lost answer: it could be stored twice."""
        files = {"file": (name, content, content_type)}
        return _json(await self._insist(_Call("POST", "/attachments", files=files)))

    async def download(self, path: str) -> bytes:
        """Returns a file. `path` as `Attachment.url` gives it."""
        return (await self._insist(_Call("GET", path.removeprefix("/api"), repeat=True))).content

    async def _insist(self, call: "_Call", within: float | None = None) -> httpx.Response:
        """Sends, and sends again what may be repeated, until the time is over."""
        deadline = time.monotonic() + (within or self._options.retry_timeout)
        backoff = Backoff(MIN_DELAY, MAX_DELAY)
        while True:
            delay: float | None = None
            try:
                return await self._attempt(call)
            except Refused as refusal:
                if not call.may_repeat_after(refusal):
                    raise
                delay, error = refusal.retry_after, Unreachable(refusal.detail)
            except httpx.RequestError as lost:
                error = Unreachable(f"No answer from the server: {type(lost).__name__}")
                if not call.repeat:
                    raise error from None
            pause = backoff.next_delay(delay)
            if time.monotonic() + pause > deadline:
                raise error
            await asyncio.sleep(pause)

    async def _attempt(self, call: "_Call") -> httpx.Response:
        """Sends once, and once more with a new token when the old one has ended."""
        token = await self._token() if call.signed else None
        answer = await self._send(call, token)
        if answer.status_code == UNAUTHORIZED and token is not None:
            await self._renew(token, refusal_of(answer))
            answer = await self._send(call, await self._token())
        if answer.status_code >= BAD_REQUEST:
            raise refusal_of(answer)
        return answer

    async def _token(self) -> str:
        if self.tokens is None:
            raise SignedOut("Not signed in: call login")
        return await self.tokens.fresh()

    async def _renew(self, token: str, refusal: Refused) -> None:
        if refusal.code == "session_ended":
            raise SignedOut(refusal.detail)
        if self.tokens is not None:
            await self.tokens.renew(token)

    async def _send(self, call: "_Call", token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        # httpx's timeout is for each read: a peer that sends a byte a second would never end.
        try:
            async with asyncio.timeout(2 * self._options.request_timeout):
                return await self._http.request(
                    call.method,
                    call.path,
                    json=call.body,
                    params=call.params,
                    headers=headers,
                    files=call.files,
                    follow_redirects=call.method == "GET",
                )
        except TimeoutError:
            raise httpx.ReadTimeout("the answer is too slow") from None


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and whether it may be repeated."""

    method: str
    path: str
    body: Json | None = None
    files: dict[str, tuple[str, bytes, str]] | None = None
    params: dict[str, Any] | None = None
    repeat: bool = False
    signed: bool = True

    def may_repeat_after(self, refusal: Refused) -> bool:
        """A rate-limited request had no effect, another refused one may have had some."""
        return refusal.status == TOO_MANY or (self.repeat and refusal.status in AWAY)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        # A proxy or a captive portal answers 200 with its own page.
        raise Unreachable("The answer is not the chat server's") from None


def refusal_of(answer: httpx.Response) -> Refused:
    """Reads the error of an answer, also one that a proxy made."""
    try:
        body = answer.json()
        code, detail, errors = body["code"], body["detail"], body.get("errors")
    except (ValueError, LookupError, TypeError):
        code, detail, errors = "http_error", f"The server answered {answer.status_code}", None
    after = answer.headers.get("Retry-After", "")
    return Refused(
        code,
        detail,
        status=answer.status_code,
        retry_after=float(after) if after.isascii() and after.isdigit() else None,
        errors=errors,
    )
