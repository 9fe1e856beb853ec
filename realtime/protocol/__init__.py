"""Defines, parses and encodes frames (contract §3). Imports pydantic, no Django."""
