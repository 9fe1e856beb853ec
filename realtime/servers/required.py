"""Checks whether a library still has the private names that we use."""

from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple


class RequiredNames(NamedTuple):
    """Names of one class or module that its library may change in any version."""

    owner: type | ModuleType
    names: tuple[str, ...]


def missing_names(required: Iterable[RequiredNames]) -> tuple[str, ...]:
    """Returns the required names that the installed classes lack."""
    return tuple(
        f"{one.owner.__name__}.{name}"
        for one in required
        for name in set(one.names) - _names_in(one.owner)
    )


def _names_in(owner: type | ModuleType) -> set[str]:
    """Returns a class's names and those in its methods (instance attributes)."""
    names = set(dir(owner))
    for base in getattr(owner, "__mro__", ()):
        for member in vars(base).values():
            code = getattr(member, "__code__", None)
            if code is not None:
                names.update(code.co_names)
    return names
