/** Two users against a real server: `SERVER=http://… node --test --experimental-websocket chat.mjs`. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ChatClient, memoryStorage } from "../../dist/index.js";

const url = process.env.SERVER;
const PASSWORD = "password123";
const unique = () => randomUUID().slice(0, 8);

async function until(holds, what = holds) {
  for (let waited = 0; waited < 15_000; waited += 20) {
    if (await holds()) return;
    await sleep(20);
  }
  assert.fail(`did not become true: ${what}`);
}

async function user(t, options = {}) {
  const chat = new ChatClient({ url, ...options });
  await chat.register(`user-${unique()}`, PASSWORD);
  t.after(() => chat.close());
  return chat;
}

async function two(t) {
  const [ila, maya] = [await user(t), await user(t)];
  const name = `room-${unique()}`;
  const rooms = [ila.room(name), maya.room(name)];
  await Promise.all(rooms.map((room) => room.open()));
  return { ila, maya, rooms, name };
}

const texts = (room) => room.messages.map(({ content }) => content);
const same = (one, other) => until(() => JSON.stringify(texts(one)) === JSON.stringify(texts(other)) && one.messages.every(({ state }) => state === "sent"));

test("two users talk, edit, react, pin and delete", async (t) => {
  const { rooms: [here, there], ila } = await two(t);
  here.send("Hi");
  there.send("Hello");
  await until(() => here.messages.length === 2 && there.messages.length === 2);
  await same(here, there);
  const own = here.messages.find(({ sender }) => sender === ila.userId);
  await here.edit(own.id, "Hi!");
  await there.react(own.id, "👍");
  await until(() => there.messages.some(({ content, reactions }) => content === "Hi!" && reactions.length === 1));
  await there.react(own.id, "👍", false);
  await here.delete(own.id);
  await until(() => there.messages.some(({ deleted, reactions }) => deleted && reactions.length === 0));
  here.send("Answer", { replyTo: there.messages.at(-1).id });
  await until(() => there.messages.at(-1).quote?.id);
});

test("typing, presence, read and delivered reach the other user", async (t) => {
  const { rooms: [here, there], maya, name } = await two(t);
  const receipts = [];
  here.on("receipt", ({ type, username, seq }) => receipts.push([type, username, seq]));
  here.send("Hi");
  await until(() => there.messages.length === 1);
  there.delivered();
  await until(() => receipts.length === 1);
  there.read();
  await until(() => receipts.length === 2);
  assert.deepEqual(receipts, [["delivered", maya.username, 1], ["read", maya.username, 1]]);
  there.typing();
  await until(() => here.typists.includes(maya.username));
  there.typing(false);
  await until(() => here.typists.length === 0);
  assert.ok(here.online.includes(maya.username));
  maya.room(name).close();
  await until(() => !here.online.includes(maya.username));
  assert.equal((await here.members()).length, 2);
});

test("what was sent without a connection arrives once, in order, and what was missed is shown", async (t) => {
  const { rooms: [here, there] } = await two(t);
  here.send("one");
  await here.flush();
  for (let cut = 0; cut < 5; cut++) {
    here.drop("test");
    here.send(`mine ${cut}`);
    there.send(`theirs ${cut}`);
  }
  await Promise.all([here.flush(), there.flush()]);
  await until(() => here.messages.length === 11 && there.messages.length === 11);
  await same(here, there);
  const mine = texts(there).filter((text) => text.startsWith("mine"));
  assert.deepEqual(mine, [0, 1, 2, 3, 4].map((number) => `mine ${number}`));
});

test("unsent messages survive a restart of the program", async (t) => {
  const storage = memoryStorage();
  const before = await user(t, { storage });
  const name = `room-${unique()}`;
  before.room(name).send("queued before the restart");
  await sleep(50);
  const again = new ChatClient({ url, storage });
  t.after(() => again.close());
  assert.equal(await again.restore(), true);
  const room = again.room(name);
  await room.open();
  await room.flush();
  await until(() => room.messages[0]?.state === "sent" && room.messages.length === 1);
});

test("more than a thousand missed changes reload history", async (t) => {
  const { rooms: [here, there], maya } = await two(t);
  there.send("first");
  await until(() => here.messages.length === 1);
  here.close();
  const params = { room_id: there.id };
  for (let batch = 0; batch < 10; batch++) {
    const sends = Array.from({ length: 101 }, (_, number) => maya.rest("POST", "/rooms/{room_id}/messages", { params, body: { content: `${batch} ${number}` } }));
    await Promise.all(sends);
  }
  await here.open();
  await until(() => here.messages.length === 200 && here.version === 1011);
  while (await here.loadOlder(200));
  assert.deepEqual(here.messages.map(({ seq }) => seq), Array.from({ length: 1011 }, (_, index) => index + 1));
});

test("a message that is too long ends as failed, the next one is sent", async (t) => {
  const { rooms: [here] } = await two(t);
  const { client_id } = here.send("x".repeat(5000));
  here.send("short");
  await here.flush();
  const failed = here.messages.find((message) => message.client_id === client_id);
  assert.deepEqual([failed.state, failed.error.code], ["failed", "invalid"]);
  here.discard(client_id);
  await until(() => JSON.stringify(texts(here)) === '["short"]');
});

test("a room that is not the user's stops with a reason", async (t) => {
  const chat = await user(t);
  const room = chat.group(`group-${unique()}`);
  await assert.rejects(room.open(), { code: "not_a_member" });
  assert.equal(room.state, "stopped");
  const nobody = chat.privateRoom(`nobody-${unique()}`);
  await assert.rejects(nobody.open(), { code: "no_such_user" });
});

test("a private room, and the same room on the socket of all rooms", async (t) => {
  const [ila, maya] = [await user(t), await user(t)];
  const here = ila.privateRoom(maya.username);
  await here.open();
  const events = await maya.events();
  events.open();
  await until(() => events.state === "open");
  here.send("Psst");
  await until(() => events.rooms.get(here.id)?.unread === 1);
  const there = events.room(here.id);
  await there.open();
  await until(() => texts(there).length === 1);
  there.send("Yes?");
  await same(here, there);
  assert.equal(events.rooms.get(here.id).unread, 0);
});

test("the socket of all rooms resumes several rooms after a cut", async (t) => {
  const [ila, maya] = [await user(t), await user(t)];
  const pairs = [];
  const events = await maya.events();
  for (let number = 0; number < 3; number++) {
    const room = ila.room(`room-${unique()}`);
    await room.open();
    room.send("before");
    await room.flush();
    const view = events.room(room.id);
    await view.open();
    pairs.push([room, view]);
  }
  events.drop("test");
  for (const [room, view] of pairs) {
    room.send("during");
    view.send("queued");
  }
  await Promise.all(pairs.map(([room]) => room.flush()));
  for (const [room, view] of pairs) {
    await until(() => view.messages.length === 3 && room.messages.length === 3);
    await same(room, view);
  }
  assert.ok(pairs.every(([room, view]) => room.version === view.version));
});

test("a room on the socket of all rooms that is closed still counts as unread", async (t) => {
  const [ila, maya] = [await user(t), await user(t)];
  const room = ila.room(`room-${unique()}`);
  await room.open();
  const events = await maya.events();
  const view = events.room(room.id);
  await view.open();
  view.send("Hi");
  await view.flush();
  view.close();
  await sleep(300);
  room.send("For later");
  await until(() => events.rooms.get(room.id)?.unread === 1);
  await view.open();
  await until(() => view.messages.length === 2);
});

test("a member who is removed sees the room stop, on both sockets", async (t) => {
  const [ila, maya] = [await user(t), await user(t)];
  const { id, name } = await ila.rest("POST", "/rooms/with-members", { body: { name: `group-${unique()}`, members: [maya.username] } });
  const own = maya.group(name);
  await own.open();
  const view = (await maya.events()).room(id);
  await view.open();
  await ila.rest("DELETE", "/rooms/{room_id}/members/{username}", { params: { room_id: id, username: maya.username } });
  await until(() => own.state === "stopped" && view.state === "stopped");
  assert.equal(own.stopped.code, "removed");
  assert.equal(view.stopped.code, "removed");
});

test("a logout elsewhere signs out here, and the session's sockets stop", async (t) => {
  const chat = await user(t);
  const elsewhere = new ChatClient({ url });
  await elsewhere.login(chat.username, PASSWORD);
  const room = chat.room(`room-${unique()}`);
  await room.open();
  let signedOut = false;
  chat.on("signedOut", () => (signedOut = true));
  await elsewhere.rest("POST", "/logout", { body: { everywhere: true } });
  await until(() => room.state === "stopped" && signedOut);
  assert.equal(room.stopped.code, "session_ended");
  await assert.rejects(chat.rest("GET", "/my-rooms"), { code: "not_authenticated" });
});

test("an invalid token is renewed, and the room opens", async (t) => {
  const chat = await user(t);
  const { access, refresh } = await chat.rest("POST", "/login", { body: { username: chat.username, password: PASSWORD } });
  const other = new ChatClient({ url });
  t.after(() => other.close());
  await other.useTokens({ access: `${access.slice(0, -4)}AAAA`, refresh });
  const room = other.room(`room-${unique()}`);
  await room.open();
  assert.equal(room.state, "open");
});

test("an upload is attached to a message", async (t) => {
  const { ila, rooms: [here, there] } = await two(t);
  const form = new FormData();
  form.append("file", new Blob(["hello"]), "hello.txt");
  const { id } = await ila.rest("POST", "/attachments", { body: form });
  here.send("", { attachments: [id] });
  await until(() => there.messages[0]?.attachments[0]?.name === "hello.txt");
});
