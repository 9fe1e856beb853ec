"""The project: settings, API, HTTP limits, observability and the doctor."""

VERSION = "0.1.0"
"""The product's version, equal to the one in pyproject.toml and in /api/openapi.json."""
