"""What a process concludes from a message between processes."""

from realtime.cluster.messages import SendReceipt
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import DeliveredOut, ReadOut


def test_only_a_read_marker_changes_the_marks_of_a_user() -> None:
    read = SendReceipt(1, 2, encode(ReadOut(username="ila", seq=3)), shared=True)
    delivered = SendReceipt(1, 2, encode(DeliveredOut(username="ila", seq=3)), shared=True)
    assert (read.is_read, delivered.is_read) == (True, False)
