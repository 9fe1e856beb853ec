"""The OpenAPI document as its users see it: linters, Postman and a TypeScript client.

    python -m tests.openapi

The tools come from npm, so this is no part of `make test`; `tests/config/test_openapi.py` is.
"""
