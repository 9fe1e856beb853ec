"""The project: settings, the API as a whole, and what watches over the process."""

VERSION = "0.1.0"
"""Of the product: pyproject.toml has the same. /api/openapi.json tells it, as the API's version."""
