"""The TypeScript client: its types and its compiled modules are those of the sources.

    python -m tests.typescript

The tools come from npm, so this is no part of `make test`.
`tests/e2e/test_typescript_client.py` is.
"""
