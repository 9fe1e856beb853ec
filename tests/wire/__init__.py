"""Snapshots of the wire: the OpenAPI document and the schemas of all frames."""
