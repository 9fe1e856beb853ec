import assert from "node:assert/strict";
import test from "node:test";
import { FakeSocket, frame, message, openRoom, pass, settled, texts, useFakeClock } from "./fakes.mjs";

useFakeClock(test);

/** Answers pages of a history, as the server does. */
function history(...messages) {
  return ({ path }) => {
    const query = new URL(path, "http://x").searchParams;
    const [after, before] = [Number(query.get("after") ?? 0), Number(query.get("before") ?? 1e9)];
    const found = messages.filter(({ seq }) => seq > after && seq < before);
    const limit = Number(query.get("limit"));
    return [200, query.has("after") ? found.slice(0, limit) : found.slice(-limit)];
  };
}

const seqs = (room) => room.messages.map(({ seq }) => seq);

test("history, then live frames, in order and each once", async () => {
  const { room } = await openRoom({ answers: history(message(1), message(2)) }, { last_seq: 2 });
  FakeSocket.last.receive(frame(3), frame(3), frame(4));
  assert.deepEqual(texts(room), ["text 1", "text 2", "text 3", "text 4"]);
  assert.equal(room.version, 4);
});

test("of two states of a message the one with the higher version is shown", async () => {
  const { room } = await openRoom({ answers: history(message(1, 1)) }, { last_seq: 1 });
  FakeSocket.last.receive(frame(1, 3, { type: "edit", content: "new" }), frame(1, 2, { type: "edit", content: "old" }));
  assert.deepEqual(texts(room), ["new"]);
});

test("frames that arrive while history loads are shown after it", async () => {
  let answer;
  const answers = () => new Promise((resolve) => (answer = () => resolve([200, [message(1), message(2)]])));
  const { room } = await openRoom({ answers }, { last_seq: 2 });
  FakeSocket.last.receive(frame(3, 3), frame(2, 4, { type: "edit", content: "edited" }));
  assert.deepEqual(texts(room), []);
  answer();
  await settled();
  assert.deepEqual(texts(room), ["text 1", "edited", "text 3"]);
  assert.equal(room.version, 4);
});

test("a missing version is asked for by resume, and the version waits for it", async () => {
  const { room } = await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  const socket = FakeSocket.last;
  socket.receive(frame(3, 3));
  assert.deepEqual([seqs(room), room.version], [[1], 1]);
  await pass(1.1);
  assert.deepEqual(socket.sentOf("resume").map(({ since }) => since), [1]);
  socket.receive(frame(2, 2), frame(3, 3), { type: "resumed", from: 2, to: 3, complete: true, ref: "resume" });
  assert.deepEqual([seqs(room), room.version], [[1, 2, 3], 3]);
});

test("a version lost during a resume is asked for again", async () => {
  const { room } = await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  const socket = FakeSocket.last;
  socket.receive(frame(3, 3));
  await pass(1.1);
  socket.receive(frame(2, 2), frame(3, 3), frame(6, 6), { type: "resumed", from: 2, to: 3, complete: true });
  assert.equal(room.version, 3);
  await pass(1.1);
  assert.deepEqual(socket.sentOf("resume").map(({ since }) => since), [1, 3]);
  socket.receive(frame(4, 4), frame(5, 5), frame(6, 6), { type: "resumed", from: 4, to: 6, complete: true });
  assert.deepEqual([seqs(room), room.version], [[1, 2, 3, 4, 5, 6], 6]);
});

test("a busy server is asked for the resume again after retry_after", async () => {
  await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  const socket = FakeSocket.last;
  socket.receive(frame(3, 3));
  await pass(1.1);
  socket.receive({ type: "error", code: "busy", message: "", retry_after: 5, ref: "resume" });
  await pass(5);
  assert.equal(socket.sentOf("resume").length, 1);
  await pass(1.1);
  assert.equal(socket.sentOf("resume").length, 2);
});

test("a gap that a resume leaves is filled from history, never shown as a hole", async () => {
  const all = Array.from({ length: 450 }, (_, index) => message(index + 1));
  let served = all.slice(0, 2);
  const { room } = await openRoom({ answers: (call) => history(...served)(call) }, { last_seq: 2 });
  const shown = [];
  room.on("messages", () => shown.push(seqs(room)));
  served = all;
  FakeSocket.last.receive(frame(450, 450));
  await pass(1.1);
  FakeSocket.last.receive({ type: "resumed", from: 3, to: 450, complete: true });
  await settled();
  assert.deepEqual(seqs(room), all.map(({ seq }) => seq));
  for (const one of shown) assert.deepEqual(one, one.map((_, index) => index + 1));
});

test("a change of an unknown message within a cut replay is shown as the message", async () => {
  const { room } = await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  FakeSocket.last.end(1006);
  await pass(0.6);
  FakeSocket.last.ready({ last_seq: 3, version: 5 });
  FakeSocket.last.receive(frame(2, 4, { type: "edit", content: "edited" }), frame(3, 5));
  assert.equal(room.version, 5);
  FakeSocket.last.receive({ type: "resumed", from: 2, to: 5, complete: true });
  assert.deepEqual(texts(room), ["text 1", "edited", "text 3"]);
});

test("a replay may bring an older message after a newer one", async () => {
  const { room } = await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  FakeSocket.last.end(1006);
  await pass(0.6);
  FakeSocket.last.ready({ last_seq: 3, version: 4 });
  FakeSocket.last.receive(frame(3, 3), frame(2, 4, { content: "edited" }));
  FakeSocket.last.receive({ type: "resumed", from: 2, to: 4, complete: true });
  assert.deepEqual([texts(room), room.version], [["text 1", "edited", "text 3"], 4]);
});

test("a replay that was cut continues from the last version", async () => {
  await openRoom({ answers: history(message(1)) }, { last_seq: 1 });
  FakeSocket.last.end(1006);
  await pass(0.6);
  FakeSocket.last.ready({ last_seq: 5, version: 5 });
  FakeSocket.last.receive(frame(2), frame(3));
  FakeSocket.last.end(1006);
  await pass(1.1);
  assert.match(FakeSocket.last.url, /\?since=3$/);
});

test("an incomplete resume reloads history", async () => {
  const all = Array.from({ length: 2000 }, (_, index) => message(index + 1));
  let served = all.slice(0, 1);
  const { room } = await openRoom({ answers: (call) => history(...served)(call) }, { last_seq: 1 });
  FakeSocket.last.end(1006);
  served = all;
  await pass(0.6);
  FakeSocket.last.ready({ last_seq: 2000 });
  FakeSocket.last.receive({ type: "resumed", from: 2, to: 2000, complete: false });
  await settled();
  assert.deepEqual(seqs(room), all.slice(-200).map(({ seq }) => seq));
  assert.equal(room.version, 2000);
  while (await room.loadOlder(200));
  assert.equal(room.messages.length, 2000);
});

test("history is asked for again until the server answers", async () => {
  let failures = 2;
  const answers = (call) => (failures-- > 0 ? [503, { code: "busy", detail: "" }, { "Retry-After": "1" }] : history(message(1))(call));
  const { room } = await openRoom({ answers }, { last_seq: 1 });
  assert.deepEqual(texts(room), []);
  await pass(5);
  assert.deepEqual(texts(room), ["text 1"]);
});

test("a name that belongs to another room now starts from its history", async () => {
  let served = [message(1)];
  const { room } = await openRoom({ answers: (call) => history(...served)(call) }, { last_seq: 1 });
  FakeSocket.last.end(1006);
  served = [message(1, 1, { content: "other", room_id: 9 })];
  await pass(0.6);
  FakeSocket.last.ready({ id: 9, last_seq: 1 });
  await settled();
  assert.deepEqual(texts(room), ["other"]);
});

test("memory is bounded, and what was dropped can be loaded again", async () => {
  const all = Array.from({ length: 300 }, (_, index) => message(index + 1));
  const { room } = await openRoom({ answers: history(...all), keep: 100 }, { last_seq: 0, version: 0 });
  FakeSocket.last.receive(...all.slice(200).map(({ seq }) => frame(seq)));
  await pass(2);
  assert.ok(room.messages.length <= 220);
});

test("frames and members that this client does not know are ignored", async () => {
  const { room, errors } = await openRoom({ answers: history() });
  FakeSocket.last.receive({ type: "poll", question: "?" }, { ...frame(1), colour: "red" });
  assert.deepEqual(texts(room), ["text 1"]);
  assert.deepEqual(errors, []);
});

test("an unreadable frame is reported, and what it held is asked for", async () => {
  const { room, errors } = await openRoom({ answers: history() });
  FakeSocket.last.receive("not JSON", "[]", { type: "message", room_id: 1 }, frame(2));
  assert.deepEqual(errors, ["unreadable_frame", "unreadable_frame", "unreadable_frame"]);
  await pass(1.1);
  assert.deepEqual(FakeSocket.last.sentOf("resume").map(({ since }) => since), [0]);
  FakeSocket.last.receive(frame(1), frame(2), { type: "resumed", from: 1, to: 2, complete: true });
  assert.deepEqual(texts(room), ["text 1", "text 2"]);
});

test("typing is forgotten after six seconds", async () => {
  const { room } = await openRoom({ answers: history() });
  FakeSocket.last.receive({ type: "typing", sender: 2, username: "maya", typing: true });
  assert.deepEqual(room.typists, ["maya"]);
  await pass(6.1);
  assert.deepEqual(room.typists, []);
});

test("older messages that change while they load are read again", async () => {
  const older = { now: message(1) };
  let paused = null;
  const answers = async ({ path }) => {
    if (!path.includes("before=2")) return [200, [message(2)]];
    const page = [200, [older.now]];
    if (paused === null) await new Promise((resolve) => (paused = resolve));
    return page;
  };
  const { room } = await openRoom({ answers }, { last_seq: 2 });
  const loading = room.loadOlder();
  await settled();
  older.now = message(1, 3, { content: "", deleted: true });
  FakeSocket.last.receive(frame(1, 3, { type: "delete", content: "", deleted: true }));
  paused();
  await loading;
  assert.deepEqual(texts(room), ["", "text 2"]);
});
