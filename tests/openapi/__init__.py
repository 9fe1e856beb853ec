"""The API documents as users see them: linters, Postman, TypeScript.

    python -m tests.openapi

The tools come from npm, so this is no part of `make test`; `tests/config/test_openapi.py` is.
"""
