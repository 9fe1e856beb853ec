"""Drills: servers are killed and connections cut while people talk; then everything is checked.

The harness knows what any client could know: URLs, credentials and process ids. It never looks into
the database or imports the product, so it checks what the contract promises and nothing else.
"""
