"""The commands of docs/deployment.md, as they stand there."""

import re

from tests.servers import ROOT


def block(start: str) -> str:
    """The one block of the page that begins with these words."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(start)]
    return str(found)
