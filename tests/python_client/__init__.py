"""Tests of the Python client: parts alone, and against real servers."""
