"""Prints the document as JSON, for generators of types."""

import json
import os
import sys

import django

HOST = "localhost:8000"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from .document import document_for  # noqa: PLC0415 - needs the settings

    json.dump(document_for(HOST, secure=False), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
