"""Serves a bare Ninja endpoint per request of `rest`, with one ORM query."""
