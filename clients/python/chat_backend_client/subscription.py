"""Hands events to the app, in order and with a bound."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, Self, TypeVar

from .events import Change, Reset

E = TypeVar("E")


class Subscription(Generic[E]):
    """An async iterator over events from its creation on.

    The receive loop never waits for the app. When the app is too far behind, its waiting events are
    replaced by those of `overflow`, which say that the state must be read afresh.
    """

    def __init__(self, most: int, overflow: Callable[[], list[E]]) -> None:
        self._waiting: deque[E] = deque()
        self._most = most
        self._overflow = overflow
        self._arrived = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def put(self, event: E) -> None:
        if len(self._waiting) >= self._most:
            self._waiting.clear()
            self._waiting.extend(self._overflow())
        else:
            self._waiting.append(event)
        self._arrived.set()

    def end(self, error: Exception | None) -> None:
        """Ends the iteration after what waits, with an error or without."""
        self._ended, self._error = True, error
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._waiting:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class Publisher(Generic[E]):
    """The subscriptions of one room or events socket.

    With `early` the first one begins when the room opens, so that an app which opens, sends, and
    then iterates misses nothing in between.
    """

    def __init__(self, most: int, overflow: Callable[[], list[E]], *, early: bool = True) -> None:
        self._most, self._overflow = most, overflow
        self._first = Subscription(most, overflow) if early else None
        self._all = [self._first] if self._first is not None else []
        self._end: tuple[Exception | None] | None = None

    def subscribe(self) -> Subscription[E]:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        subscription = Subscription(self._most, self._overflow)
        if self._end is not None:
            subscription.end(*self._end)
        self._all.append(subscription)
        return subscription

    def all(self) -> AsyncIterator[E]:
        """Yields events from now on, also those before the first `async for`."""
        return self._until_closed(self.subscribe())

    def changes(self) -> AsyncIterator[Change | Reset]:
        """Yields only changes of messages, as `all` does."""
        return self._changes(self.subscribe())

    async def _until_closed(self, subscription: Subscription[E]) -> AsyncIterator[E]:
        try:
            async for event in subscription:
                yield event
        finally:
            self.unsubscribe(subscription)

    async def _changes(self, subscription: Subscription[E]) -> AsyncIterator[Change | Reset]:
        try:
            async for event in subscription:
                if isinstance(event, Change | Reset):
                    yield event
        finally:
            self.unsubscribe(subscription)

    def unsubscribe(self, subscription: Subscription[E]) -> None:
        if subscription in self._all:
            self._all.remove(subscription)

    def publish(self, event: E) -> None:
        for subscription in self._all:
            subscription.put(event)

    def end(self, error: Exception | None = None) -> None:
        self._end = (error,)
        for subscription in self._all:
            subscription.end(error)
