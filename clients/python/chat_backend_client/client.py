"""A signed-in user at one server: rooms, events, and the REST API."""

from dataclasses import replace
from types import TracebackType
from typing import Self

from .api import Api
from .errors import Refused, SignedOut
from .events import Position
from .events_socket import Events
from .models import Json, RoomKind, User
from .options import Options
from .rest import Rest
from .room_socket import RoomSocket
from .session import Session
from .storage import MemoryStorage, Storage
from .tokens import Pair, Tokens


class ChatClient:
    """A client: `async with ChatClient(url) as chat: await chat.login(...)`.

    `storage` keeps unsent messages and tokens, in memory by default. One client is one user.
    """

    def __init__(
        self, url: str, *, storage: Storage | None = None, options: Options | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._options = options or Options()
        self._storage = storage or MemoryStorage()
        self._rest = Rest(self._url, None, self._options)
        self._tokens = Tokens(self._storage, self._rest.refresh)
        self._rest.tokens = self._tokens
        self.api = Api(self._rest)
        """All of REST, typed."""
        self._user: User | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the client, not the session: `logout` does that."""
        await self._tokens.close()
        await self._rest.close()
        await self._storage.close()

    @property
    def user(self) -> User:
        """The signed-in user. Raises SignedOut."""
        if self._user is None:
            raise SignedOut("Not signed in: call login")
        return self._user

    # Signing in

    async def login(self, name: str, password: str, *, stay: bool = False) -> User:
        """Signs in by username or e-mail. Raises Refused, Unreachable.

        `stay` keeps the password in memory, for a new session when this one ends by itself: for
        bots. A session that somebody ended on purpose stays ended.
        """
        body = {"email" if "@" in name else "username": name, "password": password}
        answer = await self._rest.call_unsigned("/login", body, repeat=True)
        await self._signed_in(answer["user"], answer)
        if stay:
            self._tokens.log_in_again = lambda: self._new_session(body)
        return self.user

    async def register(self, username: str, password: str, email: str | None = None) -> User:
        """Makes a user and signs in. Raises Refused (`username_taken`), Unreachable.

        Not repeated when the answer is lost: try `login` then.
        """
        body = {"username": username, "password": password}
        if email is not None:
            body["email"] = email
        answer = await self._rest.call_unsigned("/register", body, repeat=False)
        await self._signed_in(answer, answer)
        return self.user

    async def login_or_register(self, username: str, password: str) -> User:
        """For tests and first steps: makes the user when the name is free."""
        try:
            return await self.login(username, password)
        except Refused as refusal:
            if refusal.code != "invalid_credentials":
                raise
        return await self.register(username, password)

    async def restore(self, username: str) -> bool:
        """Goes on with the stored session of an earlier process.

        Returns False when there is none. Raises SignedOut when it has ended, Unreachable.
        """
        if not await self._tokens.restore(self._token_key(username)):
            return False
        self._user = await self.api.me()
        return True

    async def logout(self) -> None:
        """Ends the session at the server; its tokens and sockets stop working."""
        refresh = self._tokens.refresh_token
        await self._tokens.forget()
        self._user = None
        if refresh is not None:
            await self._rest.call_unsigned("/logout", {"refresh": refresh}, repeat=True)

    async def _new_session(self, body: Json) -> Pair:
        answer = await self._rest.call_unsigned("/login", body, repeat=True)
        return Pair(answer["access"], answer["refresh"])

    async def _signed_in(self, user: Json, tokens: Json) -> None:
        self._user = User.of(user)
        pair = Pair(tokens["access"], tokens["refresh"])
        await self._tokens.start(self._token_key(self._user.username), pair)

    def _token_key(self, username: str) -> str:
        return f"tokens {self._url} {username}"

    # Rooms

    def room(
        self,
        name: str,
        kind: RoomKind = "public",
        *,
        position: Position | None = None,
        history: int | None = None,
    ) -> RoomSocket:
        """Returns a room: `async with chat.room("sports") as room` opens it.

        A public room is made when the name is free. `position`, as `change.position` gave it to an
        earlier process, brings all changes after it. `history`: how many messages are loaded.
        """
        session = self._session
        if history is not None:
            session = replace(session, options=replace(self._options, history=history))
        return RoomSocket(session, kind, name, position)

    def group(self, name: str, *, position: Position | None = None) -> RoomSocket:
        """Returns a group room of the user."""
        return self.room(name, "group", position=position)

    def private(self, username: str, *, position: Position | None = None) -> RoomSocket:
        """Returns the private room with another user, made when missing."""
        return self.room(username, "private", position=position)

    def events(self) -> Events:
        """Returns one socket for all rooms of the user, open within `async with`."""
        return Events(self._session)

    @property
    def _session(self) -> Session:
        return Session(
            site="ws" + self._url.removeprefix("http"),
            username=self.user.username,
            box=f"outbox {self._url} {self.user.id} ",
            api=self.api,
            tokens=self._tokens,
            storage=self._storage,
            options=self._options,
        )
