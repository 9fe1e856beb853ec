"""Which server serves a socket, and what it lets us do beyond ASGI.

ASGI knows neither a peer that does not read nor the cutting of a connection. Both servers hand us a
`send` from which their connection can be reached. On a server that we do not know nothing is cut
and its own keep-alive ends the socket later.
"""

from functools import partial

from .asgi import AsgiConnection
from .daphne import TWISTED, DaphneConnection
from .interface import Connection, Receive, Send


def connection_of(receive: Receive, send: Send) -> Connection:
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    transport = getattr(protocol, "transport", None)
    if all(hasattr(transport, name) for name in TWISTED):
        return DaphneConnection(protocol, receive, send)
    return AsgiConnection(receive, send)
