"""Accounts over HTTP (contract §2): translate, make one service call, translate back."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status

from . import selectors, services, sessions, tokens
from .auth import Bearer, Request, as_user, bearer_token, request_address, sign_in
from .errors import NotAuthenticated, TokenExpired, invalid
from .models import Session, User
from .pagination import Cursor, Limit, keyset_page, write_links
from .schemas import (
    LoginIn,
    LoginOut,
    LogoutIn,
    MeOut,
    PasswordIn,
    PathId,
    ProfileIn,
    RefreshIn,
    RegisterIn,
    RegisterOut,
    SearchText,
    SessionOut,
    TokenIn,
    TokensOut,
    UserOut,
    answers,
)

router = Router(tags=["Accounts"], auth=Bearer())


def _agent(request: HttpRequest) -> str:
    return request.headers.get("User-Agent", "")


@router.post("/register", auth=None, response=answers({201: RegisterOut}, 400, 409, 422, 429))
def register(request: HttpRequest, body: RegisterIn) -> Status[dict[str, Any]]:
    """Make an account; the answer holds its first tokens.

    With an e-mail alone the username is made from its local part.
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
    """Sign in by username or e-mail. `username` may hold an e-mail address."""
    name = body.username or body.email
    if not name:
        raise invalid("username", "a username or an e-mail address is needed", "missing")
    user, pair = services.log_in(
        name=name,
        password=body.password,
        address=request_address(request),
        user_agent=_agent(request),
    )
    return {"access": pair.access, "refresh": pair.refresh, "user": user}


@router.post("/token/refresh", auth=None, response=answers({200: TokensOut}, 400, 401, 422))
def refresh_tokens(request: HttpRequest, body: RefreshIn) -> tokens.Pair:
    """Spend a refresh token for a new pair.

    Asked again within 30 seconds it answers the same pair; later the session ends, because somebody
    else holds the token.
    """
    return sessions.refresh_tokens(refresh=body.refresh)


@router.post("/token/verify", auth=None, response=answers({200: dict[str, Any]}, 400, 401, 422))
def verify_token(request: HttpRequest, body: TokenIn) -> dict[str, Any]:
    """Whether an access token is good right now."""
    sign_in(body.token)
    return {}


@router.post(
    "/logout",
    auth=None,
    response=answers({204: None}, 400, 401, 403, 422),
    # A token is taken, not asked for: Swagger UI then sends the one it has.
    openapi_extra={"security": [{"Bearer": []}, {}]},
)
def logout(request: HttpRequest, body: LogoutIn | None = None) -> Status[None]:
    """End the session, by access token or by `refresh` alone; its sockets close."""
    body = body or LogoutIn()
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None and body.refresh is None:
        raise NotAuthenticated
    caller = None
    try:
        caller = sign_in(token) if token is not None else None
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
    response: HttpResponse,
    q: Annotated[SearchText, Query("", description="Start of a username or display name")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> list[User]:
    """People to talk to, by username."""
    walks = selectors.search_users(q)
    order = ["username_key"]
    page = keyset_page(User.objects.all(), order, cursor=cursor, limit=limit, walks=walks)
    write_links(request, response, page.links)
    return page


@router.get("/users/me", response=answers({200: MeOut}, 401))
def read_profile(request: Request) -> User:
    """The caller's own account."""
    return as_user(request.auth)


@router.patch("/users/me", response=answers({200: MeOut}, 400, 401, 403, 409, 422, 429))
def change_profile(request: Request, body: ProfileIn) -> User:
    """Change the display name, or the e-mail address (which needs the password)."""
    return services.change_profile(
        user=as_user(request.auth),
        session_id=request.auth.session_id,
        display_name=body.display_name,
        email=body.email,
        password=body.password,
        address=request_address(request),
    )


@router.post("/users/me/password", response=answers({204: None}, 400, 401, 403, 422, 429))
def change_password(request: Request, body: PasswordIn) -> Status[None]:
    """Set a new password. The caller's other sessions end."""
    services.change_password(
        user=as_user(request.auth),
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
    """Where the caller is signed in, newest first."""
    there = selectors.open_sessions(request.auth.user_id)
    page = keyset_page(there, ["-id"], cursor=cursor, limit=limit)
    for session in page:
        session.current = session.pk == request.auth.session_id  # type: ignore[attr-defined]
    write_links(request, response, page.links)
    return page


@router.delete("/sessions/{session_id}", response=answers({204: None}, 401, 404, 422))
def end_session(request: Request, session_id: Annotated[PathId, Path()]) -> Status[None]:
    """End one of the caller's sign-ins; its sockets close."""
    sessions.end_session(user_id=request.auth.user_id, session_id=session_id)
    return Status(204, None)
