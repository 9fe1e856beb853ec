"""What is asked for when something is missing, against a history made by hand."""

import asyncio

from chat_backend_client.catch_up import CatchUp
from chat_backend_client.events import Change, Position, Reset
from chat_backend_client.models import Message
from chat_backend_client.timeline import Timeline

from .test_timeline import message


class Server:
    """Answers REST from a list, and notes what is asked for."""

    def __init__(self, stored: list[Message], position: Position) -> None:
        self.stored = stored
        self.resumes: list[int] = []
        self.told: list[Change | Reset] = []
        self.timeline = Timeline(1, position, 1000)
        self.catch_up = CatchUp(self.timeline, self.read, self.resume, self.told.extend)

    async def read(
        self, *, after: int | None = None, before: int | None = None, limit: int = 200
    ) -> list[Message]:
        await asyncio.sleep(0)
        if after is not None:
            return [one for one in self.stored if one.seq > after][:limit]
        return [one for one in self.stored if before is None or one.seq < before][-limit:]

    async def resume(self, version: int) -> None:
        self.resumes.append(version)

    @property
    def seqs(self) -> list[int]:
        return [one.seq for one in self.timeline.messages]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_jump_of_versions_asks_for_what_is_between() -> None:
    server = Server([], Position(4, 4))
    server.catch_up.change("message", message(5, 5))
    server.catch_up.change("message", message(7, 7))
    await settle()
    assert (server.resumes, server.timeline.version) == ([5], 5)
    server.catch_up.change("message", message(6, 6))
    server.catch_up.change("message", message(7, 7))
    server.catch_up.resumed(7, complete=True)
    assert (server.seqs, server.timeline.version) == ([5, 6, 7], 7)
    assert server.catch_up.complete
    await server.catch_up.close()


async def test_superseded_change_is_no_loss() -> None:
    server = Server([], Position(4, 4))
    server.catch_up.change("message", message(5, 6))
    server.catch_up.resumed(6, complete=True)
    assert (server.seqs, server.timeline.version) == ([5], 6)
    await server.catch_up.close()


async def test_refused_resume_is_asked_for_again() -> None:
    server = Server([], Position(4, 4))
    server.catch_up.change("message", message(6, 6))
    await settle()
    server.catch_up.resume_refused(0.01)
    await asyncio.sleep(0.05)
    assert server.resumes == [4, 4]
    await server.catch_up.close()


async def test_hole_that_a_resume_leaves_is_filled_from_history() -> None:
    server = Server([message(5), message(6), message(7)], Position(4, 4))
    server.catch_up.change("message", message(7, 7))
    server.catch_up.resumed(7, complete=True)
    await settle()
    assert (server.seqs, server.timeline.version) == ([5, 6, 7], 7)
    await server.catch_up.close()


async def test_incomplete_replay_reads_the_window_again() -> None:
    server = Server([message(1, 3000, "new"), *map(message, range(2, 500))], Position(1, 0))
    server.timeline.apply("message", message(1, 1))
    server.catch_up.replay_begins()
    server.catch_up.resumed(3000, complete=False)
    assert not server.catch_up.complete
    await settle()
    assert server.seqs == list(range(1, 500))
    assert (server.timeline.messages[0].content, server.timeline.version) == ("new", 3000)
    await server.catch_up.close()


async def test_restored_database_begins_anew() -> None:
    server = Server([message(1), message(2)], Position(0, 0))
    for seq in range(1, 10):
        server.catch_up.change("message", message(seq))
    server.catch_up.replay_begins()
    server.catch_up.resumed(2, complete=False)
    await settle()
    assert server.seqs == [1, 2]
    assert isinstance(server.told[-1], Reset)
    assert server.resumes == [2]
    await server.catch_up.close()


async def test_failed_reading_is_asked_for_again_at_the_next_frame() -> None:
    server = Server([], Position(4, 4))

    async def broken(**_: object) -> list[Message]:
        raise KeyError

    server.catch_up._history = broken
    server.catch_up.replay_begins()
    server.catch_up.resumed(3000, complete=False)
    await settle()
    assert server.timeline.version == 4
    server.catch_up.change("message", message(3001, 3001))
    await settle()
    assert server.resumes == [4]
    await server.catch_up.close()


async def test_connection_lost_while_resuming_skips_no_change() -> None:
    server = Server([], Position(40, 40))
    catch_up = server.catch_up
    catch_up.change("edit", message(30, 60))
    await settle()
    catch_up.lost()
    assert server.timeline.version == 40
    catch_up.replay_begins()
    catch_up.change("edit", message(20, 41))
    assert [one.message.seq for one in server.told if isinstance(one, Change)] == [30, 20]
    assert server.told[-1] == Change("edit", 1, message(20, 41), Position(41, 40))
    catch_up.lost()
    catch_up.replay_begins()
    assert server.timeline.version == 41
    catch_up.change("edit", message(10, 42))
    assert server.timeline.version == 42
    catch_up.resumed(60, complete=True)
    assert server.timeline.version == 60
    await catch_up.close()
