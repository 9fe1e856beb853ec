"""Servers with a bug put in on purpose: the harness is worth nothing unless it finds each."""
