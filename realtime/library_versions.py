"""Checks the versions of the libraries whose private names we use.

An untested version that has all of these names is used like a tested one. If a name is missing,
the public API is used instead: slower, with the same bounds.
"""

import logging
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, NamedTuple

from .cluster import redis_layer
from .metrics import unknown_versions
from .servers.detect import is_loaded, server_modules
from .servers.required import RequiredNames, missing_names

log = logging.getLogger(__name__)

KNOWN_VERSIONS = {
    "uvicorn": "0.54.",
    "daphne": "4.2.",
    "autobahn": "26.10.",
    "twisted": "26.10.",
    "channels_redis": "4.3.",
}
"""Tested versions. Raise one when all tests pass with the next."""


class Library(NamedTuple):
    """A library in an untested version, or without some of the names that we use."""

    name: str
    version: str
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        if not self.missing:
            return (
                f"{self.name} {self.version} is untested. It has all private names that we use, "
                "so nothing changes: watch memory and speed."
            )
        return (
            f"{self.name} {self.version} lacks private names that we use "
            f"({', '.join(self.missing)}). The slower public API is used instead: install the "
            "versions of requirements.txt."
        )


SERVER_OF = {"uvicorn": "uvicorn", "daphne": "daphne", "autobahn": "daphne", "twisted": "daphne"}
"""The server that a library belongs to."""


def unfamiliar_libraries(*, in_use: bool = False) -> list[Library]:
    """Returns libraries in an untested version or without a name that we use.

    `in_use`: of the server that runs in this process only. To check the other one loads it, which
    was a quarter of the time of a start.
    """
    found = []
    for name, known in KNOWN_VERSIONS.items():
        if in_use and name in SERVER_OF and not is_loaded(SERVER_OF[name]):
            continue
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # a server that is not installed
        missing = tuple(_missing(name))
        if missing or not installed.startswith(known):
            found.append(Library(name, installed, missing))
    return found


def _missing(library: str) -> Iterator[str]:
    if library == "channels_redis":
        modules: list[Any] = [redis_layer]
    else:
        modules = server_modules(SERVER_OF[library])
    if None in modules:
        yield "its protocol classes"
    required = [one for module in modules if module is not None for one in module.REQUIRED]
    yield from missing_names(one for one in required if _is_part_of(one, library))


def _is_part_of(names: RequiredNames, library: str) -> bool:
    owner = names.owner
    name = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    return name.partition(".")[0] == library


def report_unfamiliar_libraries() -> None:
    """Logs one warning for each, and sets a metric."""
    for library in unfamiliar_libraries(in_use=True):
        unknown_versions.labels(library.name, library.version).set(1)
        log.warning("%s", library.sentence)
