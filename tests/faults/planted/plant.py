"""Plants a bug by replacing an existing name of a module."""

import inspect
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any


def plant(module: ModuleType, name: str, bug: Callable[..., Any]) -> Any:
    """Replaces `module.name`, whose parameters must match, and returns the original."""
    original = getattr(module, name)
    old, new = (list(inspect.signature(one).parameters) for one in (original, bug))
    assert old == new, f"{module.__name__}.{name} takes {old} now, the planted bug {new}"
    setattr(module, name, bug)
    return original


def on_database(call: Callable[[], None]) -> None:
    """Runs `call` in a thread: Django refuses queries on the event loop."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
