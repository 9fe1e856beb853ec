"""Holds frames of a room that arrived before an earlier version, within bounds.

A frame that does not fit is dropped: the repair reads it from the database.
"""

from .send_buffers import size_of
from .subscriber import VersionedFrame

MAX_FRAMES = 2000
MAX_BYTES = 1024 * 1024
"""Memory of the texts. Frames wait for one repair, so a room rarely holds more than a few."""


class OutOfOrderFrames:
    """The waiting frames of one room, by version."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self) -> None:
        self._frames: dict[int, VersionedFrame] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: VersionedFrame) -> None:
        """Keeps a frame; the first of a version stays."""
        size = size_of(frame.event)
        is_full = len(self) >= MAX_FRAMES or self._bytes + size > MAX_BYTES
        if frame.version not in self._frames and not is_full:
            self._frames[frame.version] = frame
            self._bytes += size

    def take(self, version: int, access_epoch: int) -> VersionedFrame | None:
        """Removes and returns the frame of a version, if its access epoch is reached."""
        frame = self._frames.get(version)
        if frame is None or frame.access_epoch > access_epoch:
            return None
        self._remove(version)
        return frame

    def forget_up_to(self, version: int) -> None:
        for older in [one for one in self._frames if one <= version]:
            self._remove(older)

    def _remove(self, version: int) -> None:
        self._bytes -= size_of(self._frames.pop(version).event)
