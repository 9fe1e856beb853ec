"""A chat client for the terminal: `make chat NAME=ila ROOM=friends`.

It speaks HTTP and WebSocket to a server and imports nothing of it, so it is also a worked example
of docs/websocket.md: how to reconnect, and how to send without losing or doubling a message.
"""
