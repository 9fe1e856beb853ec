"""Writes the document as YAML."""

from typing import Any

import yaml
from typing_extensions import override

MAX_WIDTH = 100


class Dumper(yaml.CSafeDumper):
    """Writes paragraphs as blocks, and equal parts in full."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, _text)


def yaml_text(document: dict[str, Any]) -> str:
    text: str = yaml.dump(
        document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=MAX_WIDTH
    )
    return text
