"""Snapshots of the wire: the OpenAPI document and the AsyncAPI document."""
