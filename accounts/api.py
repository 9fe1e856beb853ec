"""Serves accounts over HTTP (contract §2): each operation makes one service call."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status

from . import refreshing, selectors, services, sessions, tokens
from .auth import Bearer, Request, authenticate, bearer_token, request_address, user_of
from .kernel.errors import (
    EmailTaken,
    Forbidden,
    InvalidCredentials,
    NoSuchSession,
    NotAuthenticated,
    Refusals,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    UsernameTaken,
    WrongPassword,
    invalid,
)
from .kernel.fields import PathId, SearchText, answers
from .kernel.json_answers import json_answer
from .kernel.pagination import Cursor, Limit, keyset_page, write_links
from .login import log_in
from .models import Session, User
from .schemas import (
    LoginIn,
    LoginOut,
    LogoutIn,
    MeOut,
    PasswordIn,
    ProfileIn,
    RefreshIn,
    RegisterIn,
    RegisterOut,
    SessionOut,
    TokenIn,
    TokensOut,
    UserOut,
    ValidOut,
)
from .user_search import search_users

router = Router(tags=["Accounts"], auth=Bearer())

SessionId = Annotated[PathId, Path(example=2, description="`id` of one of your sessions")]


def _agent(request: HttpRequest) -> str:
    return request.headers.get("User-Agent", "")


@router.post("/register", auth=None, response=answers({201: RegisterOut}, 400, 409, 422, 429))
def register(request: HttpRequest, body: RegisterIn) -> Status[dict[str, Any]]:
    """Register an account.

    The answer holds the first tokens, so no login has to follow. Send a username, an e-mail address
    or both; with an e-mail address alone the username is made from the part before the `@`.
    """
    user, pair = services.register(
        username=body.username,
        email=body.email,
        password=body.password,
        password2=body.password2,
        address=request_address(request),
        user_agent=_agent(request),
    )
    account = {"id": user.pk, "username": user.username, "email": user.email}
    return Status(201, account | {"access": pair.access, "refresh": pair.refresh})


@router.post("/login", auth=None, response=answers({200: LoginOut}, 400, 401, 422, 429))
def login(request: HttpRequest, body: LoginIn) -> dict[str, Any]:
    """Log in with a username or an e-mail address.

    `username` may hold an e-mail address, too. Send `access` as `Authorization: Bearer <access>`
    with each request; exchange `refresh` for the next pair before `access` expires.
    """
    name = body.username or body.email
    if not name:
        raise invalid("username", "a username or an e-mail address is required", "missing")
    user, pair = log_in(
        name=name,
        password=body.password,
        address=request_address(request),
        user_agent=_agent(request),
    )
    return {"access": pair.access, "refresh": pair.refresh, "user": user}


@router.post("/token/refresh", auth=None, response=answers({200: TokensOut}, 400, 401, 422))
def refresh_tokens(request: HttpRequest, body: RefreshIn) -> tokens.TokenPair:
    """Exchange a refresh token for new tokens.

    A refresh token works once. Sent again within 30 seconds it answers the same pair, for two tabs
    or a lost answer; sent later it ends the session, because it may have been stolen.
    """
    return refreshing.refresh_tokens(refresh=body.refresh)


@router.post("/token/verify", auth=None, response=answers({200: ValidOut}, 400, 401, 422))
def verify_token(request: HttpRequest, body: TokenIn) -> dict[str, Any]:
    """Check an access token.

    The answer is 200 with `{}` when the token works now, else 401 with the reason.
    """
    authenticate(body.token)
    return {}


@router.post(
    "/logout",
    auth=None,
    response=answers({204: None}, 400, 401, 403, 422),
    # The token is optional; with this entry Swagger UI sends the one that it has.
    openapi_extra={"security": [{"Bearer": []}, {}]},
)
def logout(request: HttpRequest, body: LogoutIn | None = None) -> Status[None]:
    """Log out and end the session.

    Send the access token as a header, or `refresh` in the body, or both. The session's tokens stop
    working at once and its open sockets close with 4401.
    """
    body = body or LogoutIn()
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None and body.refresh is None:
        raise NotAuthenticated
    caller = None
    try:
        caller = authenticate(token) if token is not None else None
    except TokenExpired:
        if body.refresh is None:
            raise
    sessions.log_out(
        user_id=caller.user_id if caller else None,
        session_id=caller.session_id if caller else None,
        refresh=body.refresh,
        everywhere=body.everywhere,
    )
    return Status(204, None)


@router.get("/users", response=answers({200: list[UserOut]}, 401, 422))
def list_users(
    request: Request,
    q: Annotated[SearchText, Query("", description="Start of a username or display name")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HttpResponse:
    """List users in the order of their names.

    `q` keeps those whose username or display name starts with it. The order is that of the name
    that matches, the username if both do.
    """
    page = search_users(q, cursor=cursor, limit=limit)
    shown = [
        {"id": user.id, "username": user.username, "display_name": user.display_name}
        for user in page
    ]
    response = json_answer(shown)
    write_links(request, response, page.links)
    return response


@router.get("/users/me", response=answers({200: MeOut}, 401))
def read_profile(request: Request) -> User:
    """Read your own account.

    Other users see the username and the display name, never the e-mail address.
    """
    return user_of(request.auth)


def _quiet_hours(body: ProfileIn) -> dict[str, str] | services.Unchanged | None:
    """Returns the sent value: null ends quiet hours, a missing member leaves them."""
    if "quiet_hours" not in body.model_fields_set:
        return services.UNCHANGED
    return None if body.quiet_hours is None else body.quiet_hours.model_dump()


@router.patch("/users/me", response=answers({200: MeOut}, 400, 401, 403, 409, 422, 429))
def change_profile(request: Request, body: ProfileIn) -> User:
    """Change your profile: display name, e-mail, quiet hours, sharing of receipts.

    Omitted members stay unchanged. In quiet hours no push is sent to you; null ends them.
    A new e-mail address needs the current `password`.
    """
    user = services.change_profile(
        user=user_of(request.auth),
        session_id=request.auth.session_id,
        display_name=body.display_name,
        email=body.email,
        password=body.password,
        address=request_address(request),
        quiet_hours=_quiet_hours(body),
    )
    if body.share_receipts not in (None, user.share_receipts):
        services.share_receipts(user=user, shares=not user.share_receipts)
    return user


@router.post("/users/me/password", response=answers({204: None}, 400, 401, 403, 422, 429))
def change_password(request: Request, body: PasswordIn) -> Status[None]:
    """Change your password.

    All other sessions of the account end at once; this one continues.
    """
    services.change_password(
        user=user_of(request.auth),
        session_id=request.auth.session_id,
        old_password=body.old_password,
        new_password=body.new_password,
        address=request_address(request),
    )
    return Status(204, None)


@router.get("/sessions", response=answers({200: list[SessionOut]}, 401, 422))
def list_sessions(
    request: Request, response: HttpResponse, cursor: Cursor = None, limit: Limit = 50
) -> list[Session]:
    """List your sessions, newest first.

    Each login is a session of its own. `current` marks the one that sent this request.
    """
    there = selectors.open_sessions(request.auth.user_id)
    page = keyset_page(there, ["-id"], cursor=cursor, limit=limit)
    for session in page:
        session.current = session.pk == request.auth.session_id  # type: ignore[attr-defined]
    write_links(request, response, page.links)
    return page


@router.delete("/sessions/{session_id}", response=answers({204: None}, 401, 404, 422))
def end_session(request: Request, session_id: SessionId) -> Status[None]:
    """End one of your sessions.

    Its tokens stop working at once and its open sockets close with 4401.
    """
    sessions.end_session(user_id=request.auth.user_id, session_id=session_id)
    return Status(204, None)


REFUSALS: Refusals = {
    register: [UsernameTaken(), EmailTaken()],
    login: [InvalidCredentials()],
    refresh_tokens: [TokenInvalid(), TokenExpired(), SessionEnded()],
    verify_token: [TokenInvalid(), TokenExpired(), SessionEnded()],
    logout: [
        NotAuthenticated(),
        TokenInvalid(),
        TokenExpired(),
        SessionEnded(),
        Forbidden("This refresh token belongs to another user"),
    ],
    change_profile: [WrongPassword(), EmailTaken()],
    change_password: [WrongPassword()],
    end_session: [NoSuchSession()],
}
