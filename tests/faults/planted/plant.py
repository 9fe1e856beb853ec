"""How a bug is put in: a name of a module is given another meaning, and it must have had one."""

import inspect
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any


def plant(module: ModuleType, name: str, bug: Callable[..., Any]) -> Any:
    """Replaces `module.name`, which must be there and be called alike, and returns what it was."""
    original = getattr(module, name)
    old, new = (list(inspect.signature(one).parameters) for one in (original, bug))
    assert old == new, f"{module.__name__}.{name} takes {old} now, the planted bug {new}"
    setattr(module, name, bug)
    return original


def on_database(call: Callable[[], None]) -> None:
    """Servers import the application on their event loop, where Django refuses queries."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
