import assert from "node:assert/strict";
import test from "node:test";
import { memoryStorage } from "../dist/index.js";
import { client, fakeFetch, FakeSocket, openRoom, pass, settled, token, useFakeClock } from "./fakes.mjs";
import { ChatClient } from "../dist/index.js";

useFakeClock(test);

const HOUR = 3600;
const now = () => Math.floor(Date.now() / 1000);
const refreshes = (fetch) => fetch.calls.filter(({ path }) => path === "/token/refresh");

/** Answers each refresh once, as the server does, and everything else with []. */
function server() {
  const spent = new Set();
  let number = 0;
  return ({ path, body }) => {
    if (path !== "/token/refresh") return [200, []];
    if (spent.has(body.refresh)) return [401, { code: "token_invalid", detail: "Spent" }];
    spent.add(body.refresh);
    number++;
    return [200, { access: token(`b${number}`, now() + HOUR), refresh: `r${number}` }];
  };
}

test("requests at the same time share one renewal", async () => {
  const { chat, fetch } = await client({ answers: server() });
  await chat.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  await pass(HOUR - 30);
  await Promise.all([1, 2, 3].map(() => chat.rest("GET", "/my-rooms")));
  assert.equal(refreshes(fetch).length, 1);
});

test("a token is renewed a minute before it expires, and an open socket receives it", async () => {
  const { chat, fetch } = await openRoom({ answers: server() });
  await chat.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  for (let minute = 0; minute < 60; minute++) {
    for (let third = 0; third < 3; third++) {
      await pass(20);
      FakeSocket.last.receive({ type: "pong" });
    }
  }
  assert.equal(refreshes(fetch).length, 1);
  assert.equal(FakeSocket.all.length, 1);
  assert.match(FakeSocket.last.sentOf("ping").findLast((one) => one.token).token, /^b1\./);
});

test("no token is in what the frame event shows", async () => {
  const { chat, room } = await openRoom();
  const raws = [];
  room.on("frame", ({ raw, frame }) => raws.push(raw, JSON.stringify(frame)));
  await chat.useTokens({ access: token("new"), refresh: "r" });
  await pass(20.1);
  assert.match(FakeSocket.last.sentOf("ping").at(-1).token, /^new\./);
  assert.ok(raws.some((raw) => raw.includes('"token":"…"')));
  assert.ok(raws.every((raw) => !raw.includes("new.")));
});

test("a refused request renews and is repeated once", async () => {
  let access;
  const serve = server();
  const answers = (call) => {
    if (call.path === "/my-rooms" && call.headers.Authorization === `Bearer ${access}`) return [401, { code: "token_invalid", detail: "" }];
    return serve(call);
  };
  const { chat, fetch } = await client({ answers });
  access = token("a");
  assert.deepEqual(await chat.rest("GET", "/my-rooms"), []);
  assert.equal(refreshes(fetch).length, 1);
});

test("a refused renewal signs out and stops the sockets", async () => {
  const answers = ({ path }) => (path === "/token/refresh" ? [401, { code: "session_ended", detail: "" }] : [200, []]);
  const { chat, room, errors } = await openRoom({ answers });
  let signedOut = 0;
  chat.on("signedOut", () => signedOut++);
  FakeSocket.last.end(4401, "token_expired", {});
  await pass(1);
  assert.deepEqual([room.state, chat.userId, signedOut], ["stopped", null, 1]);
  assert.ok(errors.includes("session_ended"));
  await assert.rejects(chat.rest("GET", "/my-rooms"), { code: "not_authenticated" });
});

test("a socket closed as session_ended signs out", async () => {
  const answers = ({ path }) => (path === "/token/refresh" ? [401, { code: "session_ended", detail: "" }] : [200, []]);
  const { chat } = await openRoom({ answers });
  FakeSocket.last.end(4401, "session_ended", {});
  await settled();
  assert.equal(chat.userId, null);
});

test("without a network the renewal is tried again, and the sign-in stays", async () => {
  let down = true;
  const serve = server();
  const answers = (call) => {
    if (down && call.path === "/token/refresh") throw new TypeError("fetch failed");
    return serve(call);
  };
  const { room, errors, chat } = await openRoom({ answers });
  FakeSocket.last.end(4401, "token_expired", {});
  await pass(3);
  assert.equal(room.state, "offline");
  assert.ok(errors.includes("network"));
  down = false;
  await pass(10);
  assert.match(FakeSocket.last.protocols[1], /^b1\./);
  assert.equal(chat.userId, 1);
});

/** Two pages on one storage, with a lock as Web Locks gives one, or without. */
function pages(locked) {
  const storage = memoryStorage();
  let queue = Promise.resolve();
  if (locked) storage.lock = (_, run) => (queue = queue.then(run, run));
  const fetch = fakeFetch(server());
  const page = () => new ChatClient({ url: "http://chat.test", fetch, WebSocket: FakeSocket, storage });
  return { storage, fetch, page };
}

test("two pages renew once: the second takes what the first stored", async () => {
  const { fetch, page } = pages(true);
  const [one, two] = [page(), page()];
  await one.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  assert.equal(await two.restore(), true);
  await pass(HOUR - 30);
  await Promise.all([one.rest("GET", "/my-rooms"), two.rest("GET", "/my-rooms")]);
  assert.equal(refreshes(fetch).length, 1);
  await pass(HOUR - 30);
  await two.rest("GET", "/my-rooms");
  await one.rest("GET", "/my-rooms");
  assert.deepEqual(refreshes(fetch).map(({ body }) => body.refresh), ["r", "r1"]);
});

test("the sign-in of another user in the same storage is not taken over", async () => {
  const { storage, page } = pages(false);
  const one = page();
  await one.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  storage.set("tokens", JSON.stringify({ access: token("z", now() + HOUR, 2), refresh: "z", username: "maya", at: Date.now() }));
  await pass(HOUR - 30);
  await one.rest("GET", "/my-rooms");
  assert.equal(one.userId, 1);
});

test("a wrong clock does not renew at every request", async () => {
  const { chat, fetch } = await client({ answers: server() });
  await chat.useTokens({ access: token("a", now() - HOUR), refresh: "r" });
  for (let request = 0; request < 5; request++) await chat.rest("GET", "/my-rooms");
  assert.equal(refreshes(fetch).length, 0);
});

test("an error of the API has code, detail, status and retryAfter", async () => {
  const { chat } = await client({ answers: () => [429, { code: "rate_limited", detail: "Too many requests" }, { "Retry-After": "3" }] });
  await assert.rejects(chat.rest("GET", "/my-rooms"), { name: "ApiError", code: "rate_limited", detail: "Too many requests", status: 429, retryAfter: 3, temporary: true });
});

test("an answer of a proxy is an error with a code, too", async () => {
  const fetch = async () => ({ ok: false, status: 502, headers: { get: () => null }, text: async () => "<html>" });
  const { chat } = await client({});
  const behind = new ChatClient({ url: "http://chat.test", fetch, WebSocket: FakeSocket });
  await behind.useTokens({ access: token("a"), refresh: "r" });
  await assert.rejects(behind.rest("GET", "/my-rooms"), { code: "http_error", status: 502 });
  chat.close();
});

test("paths and queries are encoded", async () => {
  const { chat, fetch } = await client();
  await chat.rest("DELETE", "/rooms/{room_id}/members/{username}", { params: { room_id: 7, username: "a/b ü" } });
  await chat.rest("GET", "/rooms", { query: { q: "a&b", limit: 5 } });
  assert.deepEqual(fetch.calls.slice(-2).map(({ path }) => path), ["/rooms/7/members/a%2Fb%20%C3%BC", "/rooms?q=a%26b&limit=5"]);
});

test("another user's sign-in closes the rooms and sends none of their messages", async () => {
  const { chat, room } = await openRoom();
  FakeSocket.last.end(1006);
  room.send("secret of ila");
  await chat.useTokens({ access: token("other", now() + HOUR, 2), refresh: "r2" });
  assert.equal(room.state, "offline");
  assert.notEqual(chat.room("friends"), room);
  room.open();
  await settled();
  FakeSocket.last.ready();
  await pass(5);
  assert.deepEqual(FakeSocket.all.flatMap((one) => one.sentOf("message")), []);
});

test("a pair that a failed write left in the storage is not used again", async () => {
  const storage = memoryStorage();
  const { chat, fetch } = await client({ answers: server(), storage });
  await chat.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  storage.set = () => {
    throw new Error("full");
  };
  for (let hour = 0; hour < 3; hour++) {
    await pass(HOUR - 30);
    await chat.rest("GET", "/my-rooms");
  }
  assert.deepEqual(refreshes(fetch).map(({ body }) => body.refresh), ["r", "r1", "r2"]);
});

test("a socket that always receives frames renews its token, too", async () => {
  const { chat, fetch } = await openRoom({ answers: server() });
  await chat.useTokens({ access: token("a", now() + HOUR), refresh: "r" });
  for (let second = 0; second < HOUR; second += 5) {
    await pass(5);
    FakeSocket.last.receive({ type: "typing", sender: 2, username: "maya", typing: true }, { type: "pong" });
  }
  assert.equal(refreshes(fetch).length, 1);
  assert.equal(FakeSocket.all.length, 1);
});
