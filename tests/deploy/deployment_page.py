"""Reads the commands in docs/deployment.md."""

import re

from tests.servers import ROOT


def block(start: str) -> str:
    """Returns the only block of the page that begins with `start`."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(start)]
    return str(found)
