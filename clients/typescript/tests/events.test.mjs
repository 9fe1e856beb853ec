import assert from "node:assert/strict";
import test from "node:test";
import { client, FakeSocket, frame, message, ROOM, settled, texts, useFakeClock, pass } from "./fakes.mjs";

useFakeClock(test);

const followed = (version) => ({ type: "followed", ref: "follow 1", room_id: 1, room: { ...ROOM, last_seq: version, version }, version, online: ["ila"], online_count: 1 });

test("a room that is opened again asks for what it missed, also when a frame comes first", async () => {
  const { chat } = await client({ answers: ({ path }) => [200, path.includes("/messages") ? [message(1)] : []] });
  const events = await chat.events();
  events.open();
  await settled();
  const state = { id: 1, version: 1, last_seq: 1, last_read_seq: 1, unread: 0, mentions: 0, muted: false };
  FakeSocket.last.receive({ type: "ready", user: { id: 1, username: "ila" }, rooms: [state], more: false });
  await settled();
  const room = events.room(1);
  room.open();
  FakeSocket.last.receive({ ...followed(1), ref: FakeSocket.last.sentOf("follow").at(-1).ref });
  await settled();
  assert.deepEqual(texts(room), ["text 1"]);
  room.close();
  FakeSocket.last.receive({ type: "unfollowed", room_id: 1 });
  const before = FakeSocket.last.sentOf("resume").length;
  room.open();
  FakeSocket.last.receive({ ...frame(5), room_id: 1 });
  FakeSocket.last.receive({ ...followed(5), ref: FakeSocket.last.sentOf("follow").at(-1).ref });
  await pass(0.1);
  const asked = FakeSocket.last.sentOf("resume").slice(before);
  assert.deepEqual(asked.at(-1)?.rooms, { 1: 1 });
});
