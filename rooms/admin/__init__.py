"""Registers the pages of the admin: Django imports this module."""

from . import bans, members, rooms

__all__ = ["bans", "members", "rooms"]
