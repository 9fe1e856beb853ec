import assert from "node:assert/strict";
import test from "node:test";
import { memoryStorage } from "../dist/index.js";
import { client, FakeSocket, frame, message, openRoom, pass, settled, useFakeClock } from "./fakes.mjs";

useFakeClock(test);

const states = (room) => room.messages.map(({ content, state }) => [content, state]);
const sent = () => FakeSocket.last.sentOf("message");

function ack({ client_id }, seq, duplicate = false) {
  FakeSocket.last.receive({ type: "ack", ref: client_id, client_id, room_id: 1, id: seq + 100, seq, version: seq, duplicate });
}

function own({ client_id, message: content }, seq) {
  return frame(seq, seq, { sender: 1, username: "ila", client_id, content });
}

test("a message is shown at once and goes through its states", async () => {
  const { room } = await openRoom();
  FakeSocket.last.end(1006);
  const seen = [];
  room.on("messages", (messages) => messages[0] && seen.push(messages[0].state));
  const { key } = room.send("Hi");
  assert.deepEqual(states(room), [["Hi", "queued"]]);
  await pass(0.6);
  FakeSocket.last.ready();
  FakeSocket.last.receive({ type: "resumed", from: 1, to: 0, complete: true });
  await pass(0.1); // Changes within a replay are shown together.
  ack(sent()[0], 1);
  FakeSocket.last.receive(own(sent()[0], 1));
  assert.deepEqual([...new Set(seen)], ["queued", "sending", "sent"]);
  assert.deepEqual([room.messages.length, room.messages[0].key, room.messages[0].seq], [1, key, 1]);
});

test("the message of the room may come before its ack", async () => {
  const { room } = await openRoom();
  room.send("Hi");
  FakeSocket.last.receive(own(sent()[0], 1));
  ack(sent()[0], 1);
  assert.deepEqual(states(room), [["Hi", "sent"]]);
});

test("one message is in flight at a time", async () => {
  const { room } = await openRoom();
  room.send("first");
  room.send("second");
  assert.deepEqual(sent().map(({ message }) => message), ["first"]);
  ack(sent()[0], 1);
  assert.deepEqual(sent().map(({ message }) => message), ["first", "second"]);
});

test("what was not acknowledged is sent again with the same client_id", async () => {
  const { room } = await openRoom();
  room.send("Hi");
  const [first] = sent();
  FakeSocket.last.end(1006);
  assert.deepEqual(states(room), [["Hi", "queued"]]);
  await pass(0.6);
  FakeSocket.last.ready({ last_seq: 1 });
  await settled();
  assert.deepEqual(sent(), [first]);
  FakeSocket.last.receive(own(first, 1), { type: "resumed", from: 1, to: 1, complete: true });
  ack(first, 1, true);
  assert.deepEqual(states(room), [["Hi", "sent"]]);
});

test("a message without an answer ends the connection and is sent again", async () => {
  const { room } = await openRoom({ pingInterval: 1000 });
  room.send("Hi");
  await pass(31);
  FakeSocket.last.ready();
  await settled();
  assert.deepEqual([FakeSocket.all.length, sent().length], [2, 1]);
});

test("a temporary refusal is repeated after retry_after, in order", async () => {
  const { room } = await openRoom();
  room.send("first");
  room.send("second");
  FakeSocket.last.receive({ type: "error", code: "rate_limited", message: "", retry_after: 3, ref: sent()[0].ref });
  assert.deepEqual(states(room), [["first", "queued"], ["second", "queued"]]);
  await pass(3);
  assert.equal(sent().length, 1);
  await pass(1);
  assert.deepEqual(sent().map(({ message }) => message), ["first", "first"]);
});

test("a refusal without a ref is about the message in flight", async () => {
  const { room } = await openRoom();
  room.send("Hi");
  FakeSocket.last.receive({ type: "error", code: "rate_limited", message: "" });
  assert.deepEqual(states(room), [["Hi", "queued"]]);
  await pass(2);
  assert.equal(sent().length, 2);
});

test("a permanent refusal ends as failed, and the next message is sent", async () => {
  const { room, errors } = await openRoom();
  const { client_id } = room.send("");
  room.send("next");
  FakeSocket.last.receive({ type: "error", code: "invalid", message: "Empty", ref: client_id });
  assert.deepEqual(states(room), [["", "failed"], ["next", "sending"]]);
  assert.deepEqual(room.messages[0].error, { code: "invalid", message: "Empty" });
  assert.deepEqual(errors, ["invalid"]);
  room.discard(client_id);
  assert.deepEqual(states(room), [["next", "sending"]]);
});

test("a failed message can be sent again", async () => {
  const { room } = await openRoom();
  const { client_id } = room.send("Hi");
  FakeSocket.last.receive({ type: "error", code: "forbidden", message: "", ref: client_id });
  room.retry(client_id);
  assert.deepEqual(sent().map((one) => one.client_id), [client_id, client_id]);
});

test("a message that the server fails on five times ends as failed", async () => {
  const { room } = await openRoom();
  const { client_id } = room.send("Hi");
  for (let answer = 0; answer < 5; answer++) {
    FakeSocket.last.receive({ type: "error", code: "internal", message: "", ref: client_id }, { type: "pong" });
    for (let half = 0; half < 2; half++) {
      await pass(9);
      FakeSocket.last.receive({ type: "pong" });
    }
  }
  assert.deepEqual(states(room), [["Hi", "failed"]]);
});

test("an error that announces a close leaves the message to be sent again", async () => {
  const { room } = await openRoom();
  room.send("Hi");
  FakeSocket.last.receive({ type: "error", code: "token_expired", message: "" });
  assert.notEqual(states(room)[0][1], "failed");
});

test("a room that the user may not enter fails its messages", async () => {
  const { chat } = await client();
  const room = chat.group("family");
  const opened = room.open();
  room.send("Hi");
  await settled();
  FakeSocket.last.end(4403, "not_a_member", { message: "You are not a member of this room" });
  assert.deepEqual(states(room), [["Hi", "failed"]]);
  await assert.rejects(opened, { code: "not_a_member" });
});

test("the outbox is bounded in messages and bytes", async () => {
  const few = (await client({ maxQueued: 2 })).chat.room("friends");
  few.send("1");
  few.send("2");
  assert.throws(() => few.send("3"), { name: "ChatError", code: "outbox_full" });
  const small = (await client({ maxQueuedBytes: 300 })).chat.room("friends");
  small.send("x".repeat(100));
  assert.throws(() => small.send("y".repeat(100)), { code: "outbox_full" });
  assert.throws(() => small.send("é".repeat(33_000)), { code: "frame_too_big" });
  assert.equal(small.messages.length, 1);
});

test("unsent messages survive a restart and keep their client_id", async () => {
  const storage = memoryStorage();
  const before = (await client({ storage })).chat.room("friends");
  before.send("first");
  before.send("second", { replyTo: 7 });
  await settled();
  const { room } = await openRoom({ storage });
  assert.deepEqual(states(room), [["first", "sending"], ["second", "queued"]]);
  const ids = before.messages.map(({ client_id }) => client_id);
  ack(sent()[0], 1);
  assert.deepEqual(sent().map(({ client_id, reply_to }) => [client_id, reply_to]), [[ids[0], undefined], [ids[1], 7]]);
  ack(sent()[1], 2);
  await settled();
  assert.deepEqual(await storage.keys("outbox/"), []);
});

test("another user's unsent messages stay where they are", async () => {
  const storage = memoryStorage();
  storage.set("outbox/2//ws/chat/friends//1-000000", JSON.stringify({ client_id: "x", text: "theirs", reply_to: null, attachments: [], at: 1, error: null }));
  const { room } = await openRoom({ storage });
  assert.deepEqual(states(room), []);
});

test("a broken storage costs the restart, not the message", async () => {
  const broken = () => {
    throw new Error("QuotaExceededError");
  };
  const { room, errors } = await openRoom({ storage: { get: broken, set: broken, remove: broken, keys: broken } });
  room.send("Hi");
  ack(sent()[0], 1);
  await settled();
  assert.deepEqual(states(room), [["Hi", "sent"]]);
  assert.ok(errors.every((code) => code === "storage_failed") && errors.length > 0);
});

test("logout deletes unsent messages and the sign-in", async () => {
  const storage = memoryStorage();
  const { chat, fetch } = await openRoom({ storage });
  chat.room("friends").send("Hi");
  await settled();
  await chat.logout();
  assert.deepEqual(await storage.keys(""), []);
  assert.equal(FakeSocket.last.closedWith, 1000);
  assert.equal(fetch.calls.at(-1).path, "/logout");
});

test("flush waits for every answer", async () => {
  const { room } = await openRoom();
  let flushed = false;
  room.send("Hi");
  room.flush().then(() => (flushed = true));
  await settled();
  assert.equal(flushed, false);
  ack(sent()[0], 1);
  await settled();
  assert.equal(flushed, true);
});

test("the same message in history after a restart is shown once", async () => {
  const storage = memoryStorage();
  const before = (await client({ storage })).chat.room("friends");
  const { client_id } = before.send("Hi");
  await settled();
  const { room } = await openRoom({ storage, answers: () => [200, [message(1, 1, { sender: 1, client_id, content: "Hi" })]] }, { last_seq: 1 });
  assert.deepEqual(states(room), [["Hi", "sent"]]);
});
