"""Versions of the libraries whose inside we use: those that were read, and any other.

Another version is judged by whether it has the names that we use. With all of them it is used as
before; else a public way serves, which is slower and keeps the bounds.
"""

import logging
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import NamedTuple

from . import hint_layer
from .metrics import unknown_versions
from .servers.detect import inside_of
from .servers.required import Inside, missing_names

log = logging.getLogger(__name__)

KNOWN_VERSIONS = {
    "uvicorn": "0.54.",
    "daphne": "4.2.",
    "autobahn": "26.10.",
    "twisted": "26.10.",
    "channels_redis": "4.3.",
}
"""The tests run with these. Raise one when all of them pass with the next."""


class Library(NamedTuple):
    """One that is not as we know it: its version is new, or names are missing inside it."""

    name: str
    version: str
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        if not self.missing:
            return (
                f"{self.name} {self.version} was not tested here. It has all that we use of its "
                "inside and is served as before: watch memory and speed."
            )
        return (
            f"{self.name} {self.version} lacks what we use of its inside "
            f"({', '.join(self.missing)}). A slower public way is used in place of it: install the "
            "versions of requirements.txt."
        )


def unfamiliar_libraries() -> list[Library]:
    """Libraries that are of an unknown version or lack a name that we use."""
    found = []
    for name, known in KNOWN_VERSIONS.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # a server that is not there serves nothing
        missing = tuple(_missing(name))
        if missing or not installed.startswith(known):
            found.append(Library(name, installed, missing))
    return found


def _missing(library: str) -> Iterator[str]:
    server = "uvicorn" if library == "uvicorn" else "daphne"
    if library == "channels_redis":
        required: Iterable[Inside] | None = hint_layer.REQUIRED
    else:
        required = getattr(inside_of(server), "REQUIRED", None)
    if required is None:
        yield "its protocol classes"
        return
    yield from missing_names(one for one in required if _is_part_of(one, library))


def _is_part_of(inside: Inside, library: str) -> bool:
    name = inside.of.__name__ if isinstance(inside.of, ModuleType) else inside.of.__module__
    return name.partition(".")[0] == library


def report_unfamiliar_libraries() -> None:
    """One warning for each in the log, and a metric."""
    for library in unfamiliar_libraries():
        unknown_versions.labels(library.name, library.version).set(1)
        log.warning("%s", library.sentence)
