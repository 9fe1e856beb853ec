"""Whether a library still has the names inside it that we use."""

from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple


class Inside(NamedTuple):
    """Names of one class, or module, that its library does not promise to keep."""

    of: type | ModuleType
    names: tuple[str, ...]


def missing_names(required: Iterable[Inside]) -> tuple[str, ...]:
    """The required names that the very classes in use do not have."""
    return tuple(
        f"{inside.of.__name__}.{name}"
        for inside in required
        for name in set(inside.names) - _names_in(inside.of)
    )


def _names_in(of: type | ModuleType) -> set[str]:
    """Names that a class has, or that its methods use: they set the attributes of instances."""
    names = set(dir(of))
    for base in getattr(of, "__mro__", ()):
        for member in vars(base).values():
            code = getattr(member, "__code__", None)
            if code is not None:
                names.update(code.co_names)
    return names
