"""The Content-Security-Policy of our pages.

Swagger UI and the admin have one of their own (`config/response_headers.py`): they set styles and
HTML from scripts, which this one forbids.
"""

POLICY = "; ".join(
    (
        # Scripts, styles, images, requests and sockets of this server only: no CDN and no inline
        # code, so a name or message that a page shows by mistake as HTML runs nothing.
        "default-src 'self'",
        # No script may turn a string into HTML or code (innerHTML, eval). Preact sets text.
        "require-trusted-types-for 'script'",
        # No other site may lay a page over ours and catch clicks on it.
        "frame-ancestors 'none'",
        # An injected <base> would send our relative imports to another host.
        "base-uri 'none'",
        # An injected form could send a password elsewhere. `default-src` does not cover forms.
        "form-action 'self'",
        # Plugins run outside of this policy.
        "object-src 'none'",
    )
)
