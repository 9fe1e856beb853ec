"""What a server lets us do beyond ASGI: cut a connection whose peer does not read.

ASGI has no word for it, and a polite close waits behind bytes that nobody takes. Both servers hand
us a `send` from which their connection can be reached; on an unknown server nothing is cut, and
its own keep-alive ends the socket later.
"""

from functools import partial
from typing import Any


def abort(send: Any) -> bool:
    """Cuts the connection behind an ASGI `send`. False when this server offers no way."""
    protocol = _protocol(send)
    transport = getattr(protocol, "transport", None)
    for name in ("abort", "abortConnection"):  # asyncio's (uvicorn), Twisted's (daphne)
        cut = getattr(transport, name, None)
        if callable(cut):
            cut()
            return True
    return False


def _protocol(send: Any) -> Any:
    if isinstance(send, partial) and send.args:
        return send.args[0]  # daphne: partial(server.handle_reply, protocol)
    return getattr(send, "__self__", None)  # uvicorn: a bound method of its protocol
