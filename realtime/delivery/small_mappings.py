"""Mappings that take no memory while empty, and little with one entry.

An empty dict takes 64 bytes and a dict with one entry 224. A room needs several mappings, a server
has many rooms, and in most of them each mapping is empty or has one entry.
"""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from types import MappingProxyType
from typing import Any, TypeVar

from typing_extensions import override

Key = TypeVar("Key")
Value = TypeVar("Value")

NO_ENTRIES: Mapping[Any, Any] = MappingProxyType({})
"""The one empty mapping of all rooms. It cannot be changed."""


class OneEntry(Mapping[Key, Value]):
    """A mapping with one entry, of 48 bytes.

    Its methods are those of a dict made for each call.
    """

    __slots__ = ("_key", "_value")

    def __init__(self, key: Key, value: Value) -> None:
        self._key = key
        self._value = value

    def _as_dict(self) -> dict[Key, Value]:
        return {self._key: self._value}

    @override
    def __len__(self) -> int:
        return 1

    @override
    def __iter__(self) -> Iterator[Key]:
        return iter((self._key,))

    @override
    def __getitem__(self, key: Key) -> Value:
        return self._as_dict()[key]

    @override
    def __contains__(self, key: object) -> bool:
        return key == self._key

    @override
    def values(self) -> ValuesView[Value]:
        return self._as_dict().values()

    @override
    def items(self) -> ItemsView[Key, Value]:
        return self._as_dict().items()


def with_entry(entries: Mapping[Key, Value], key: Key, value: Value) -> Mapping[Key, Value]:
    """Returns the entries with one set. A dict is changed in place."""
    if isinstance(entries, dict):
        entries[key] = value
        return entries
    if not entries or key in entries:
        return OneEntry(key, value)
    return {**entries, key: value}


def without_entry(entries: Mapping[Key, Value], key: Key) -> Mapping[Key, Value]:
    """Returns the entries without one, which may be missing.

    A dict is changed in place.

    An emptied dict is replaced: it would keep the memory that it once needed.
    """
    if isinstance(entries, dict):
        entries.pop(key, None)
        return entries or NO_ENTRIES
    return NO_ENTRIES if key in entries else entries
