"""What editors open: the Postman collection of docs/postman/ and docs/chat.http.

    python -m tests.editors

The tools come from npm, so running the requests is no part of `make test`; that the files match
the code is.
"""
