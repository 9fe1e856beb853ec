"""A connection by ASGI's own means, and by what asyncio says of transports."""

import sys
from collections.abc import Callable
from typing import Any

from .interface import Receive, Send, Write
from .kernel import bound_kernel

STOCK_UVICORN = "uvicorn.protocols.websockets.websockets_sansio_impl"


class AsgiConnection:
    """uvicorn and servers like it, whose `send` waits while the peer does not read."""

    __slots__ = ("_protocol", "receive", "send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        protocol: Any = getattr(send, "__self__", None)
        if type(protocol).__module__ == STOCK_UVICORN and STOCK_UVICORN in sys.modules:
            from . import uvicorn  # noqa: PLC0415 - daphne need not import it

            if uvicorn.is_known(protocol):
                uvicorn.DirectWriteProtocol.take_over(protocol)
                self.send = protocol.send
        self._protocol = protocol if hasattr(protocol, "direct_writer") else None
        transport = getattr(protocol, "transport", None)
        if transport is not None:
            bound_kernel(transport.get_extra_info("socket"))

    def direct_writer(self) -> Write | None:
        return None if self._protocol is None else self._protocol.direct_writer()

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        if self._protocol is not None:
            self._protocol.on_writer_change = on_writer_change

    def abort(self) -> bool:
        transport = getattr(getattr(self.send, "__self__", None), "transport", None)
        cut = getattr(transport, "abort", None)  # asyncio's; uvicorn's `send` is a bound method
        if callable(cut):
            cut()
        return callable(cut)
