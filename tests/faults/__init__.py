"""Fault drills break servers under load and check the delivery promise.

The harness knows what any client knows: URLs, credentials and process ids. It never reads the
database or imports the product, so it checks what the contract promises and nothing else.
"""
