"""Which uvicorn's `websockets-sansio` class may be looked into: that of the versions we have read.

A socket of that class becomes one of ours (`quick_uvicorn`) when it reaches us. A uvicorn that is
not known here is left as it is, and everything goes by its `send`.
"""

import sys

KNOWN_VERSIONS = ("0.54.",)
STOCK = "uvicorn.protocols.websockets.websockets_sansio_impl"


def is_known(protocol: object) -> bool:
    """Whether this is the stock class of a version that was read. Daphne need not import it."""
    if type(protocol).__module__ != STOCK:
        return False
    version: str = getattr(sys.modules.get("uvicorn"), "__version__", "")
    return version.startswith(KNOWN_VERSIONS)


def take_over(protocol: object) -> None:
    """Makes a known socket one of ours."""
    from .quick_uvicorn import QuickProtocol  # noqa: PLC0415 - needs uvicorn

    QuickProtocol.take_over(protocol)
