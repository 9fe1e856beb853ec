"""Builds and serves the AsyncAPI 3 document of the sockets.

    python -m config.asyncapi > asyncapi.json

Frames, their members and descriptions come from `realtime/protocol/`, close codes from
`realtime/close_codes.py`, limits from the settings.
"""
