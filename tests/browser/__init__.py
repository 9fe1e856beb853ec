"""Pages in a real Chromium, against a real server with a new database.

    python -m tests.browser

They need a browser, so they are no part of `make test`; `tests/config/web` and
`tests/e2e/test_web_pages.py` are.
"""
