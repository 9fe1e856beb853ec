"""A chat client for the terminal: `make chat NAME=ila ROOM=friends`.

It uses HTTP and WebSocket and imports nothing of the server. So it is also an example for
docs/websocket.md: it reconnects, and sends without losing or duplicating a message.
"""
