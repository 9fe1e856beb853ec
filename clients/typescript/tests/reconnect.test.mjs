import assert from "node:assert/strict";
import test from "node:test";
import { Backoff, closeRule } from "../dist/index.js";
import { client, FakeSocket, message, openRoom, pass, settled, token, useFakeClock } from "./fakes.mjs";

useFakeClock(test);

test("delays double up to 30 seconds with full jitter, and retry_after comes on top", () => {
  const longest = new Backoff(() => 1);
  assert.deepEqual(Array.from({ length: 8 }, () => longest.next()), [0.5, 1, 2, 4, 8, 16, 30, 30]);
  longest.reset();
  assert.equal(longest.next(7), 7.5);
  const shortest = new Backoff(() => 0);
  assert.deepEqual([shortest.next(), shortest.next(3)], [0, 3]);
});

for (const [code, reason] of [[1006, ""], [1011, "internal"], [1012, ""], [4408, "too_slow"], [4999, ""]]) {
  test(`close ${code} reconnects with since`, async () => {
    const { room } = await openRoom({ answers: () => [200, [message(3)]] }, { last_seq: 3, version: 7 });
    FakeSocket.last.end(code, reason);
    assert.equal(room.state, "offline");
    await pass(0.6);
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(FakeSocket.last.url, "ws://chat.test/ws/chat/friends/?since=7");
  });
}

for (const [code, reason] of [[1000, ""], [4400, "bad_frame"], [4403, "removed"], [4404, "no_such_room"], [4401, "session_ended"]]) {
  test(`close ${code} ${reason} stops`, async () => {
    const { room } = await openRoom();
    const closes = [];
    room.on("close", (event) => closes.push(event));
    FakeSocket.last.end(code, reason, reason && { message: "Because" });
    await pass(100);
    assert.equal(FakeSocket.all.length, 1);
    assert.equal(room.state, "stopped");
    assert.equal(room.stopped.code, reason || "closed");
    assert.equal(closes[0].reconnects, false);
    assert.match(closes[0].explanation, reason ? /: Because$/ : /./);
  });
}

test("4429 waits for retry_after", async () => {
  await openRoom();
  FakeSocket.last.end(4429, "rate_limited", { retry_after: 20 });
  await pass(20);
  assert.equal(FakeSocket.all.length, 1);
  await pass(0.6);
  assert.equal(FakeSocket.all.length, 2);
});

test("4401 renews the sign-in once and reconnects with the new token", async () => {
  const renewed = { access: token("b"), refresh: "r2" };
  const { room, fetch } = await openRoom({ answers: ({ path }) => [200, path === "/token/refresh" ? renewed : []] });
  FakeSocket.last.end(4401, "token_expired", {});
  await pass(0.6);
  assert.deepEqual(FakeSocket.last.protocols, ["bearer", renewed.access]);
  assert.deepEqual(fetch.calls.filter(({ path }) => path === "/token/refresh").map(({ body }) => body), [{ refresh: "r" }]);
  FakeSocket.last.ready();
  assert.equal(room.state, "open");
});

test("a server that refuses new tokens, too, is asked four times", async () => {
  let number = 0;
  const answers = ({ path }) => [200, path === "/token/refresh" ? { access: token(`n${number++}`), refresh: "r" } : []];
  const { room } = await openRoom({ answers });
  for (let refusal = 0; refusal < 4; refusal++) {
    FakeSocket.last.end(4401, "token_invalid", {});
    await pass(10);
  }
  assert.equal(room.state, "stopped");
  assert.equal(FakeSocket.all.length, 4);
});

test("a dead network is noticed by the missing pong", async () => {
  const { room } = await openRoom();
  const socket = FakeSocket.last;
  await pass(20);
  assert.equal(socket.sentOf("ping").length, 1);
  socket.receive({ type: "pong" });
  await pass(20);
  assert.equal(socket.sentOf("ping").length, 2);
  await pass(10.1);
  assert.equal(room.state, "offline");
  assert.equal(socket.closedWith, 1000);
  await pass(0.6);
  assert.equal(FakeSocket.all.length, 2);
});

test("a server that accepts and says nothing is left after 30 seconds", async () => {
  const { chat } = await client();
  chat.room("friends").open();
  await pass(31);
  assert.equal(FakeSocket.all.length, 2);
});

test("close and open at once leaves one connection", async () => {
  const { room } = await openRoom();
  room.close();
  room.open();
  room.close();
  room.open();
  await settled();
  assert.equal(FakeSocket.all.filter(({ closedWith }) => closedWith === null).length, 1);
});

test("wake connects at once instead of waiting", async () => {
  const { chat, room } = await openRoom();
  for (let failure = 0; failure < 8; failure++) {
    FakeSocket.last.end(1006);
    await pass(31);
  }
  FakeSocket.last.end(1006);
  const before = FakeSocket.all.length;
  chat.wake();
  await settled();
  assert.equal(FakeSocket.all.length, before + 1);
  assert.equal(room.state, "connecting");
});

test("every close code has a sentence for people", () => {
  for (const code of [1000, 1006, 1009, 1011, 1012, 4400, 4401, 4403, 4404, 4408, 4429, 4242]) {
    assert.match(closeRule(code).explanation, /^[A-Z].{5,}/);
  }
});

test("a room that a handler closes stays closed", async () => {
  const { room } = await openRoom();
  room.on("close", () => room.close());
  FakeSocket.last.end(1006);
  await pass(60);
  assert.equal(FakeSocket.all.length, 1);
});

test("delays grow while each connection ends soon after ready", async () => {
  await openRoom();
  for (let seconds = 0; seconds < 60; seconds += 0.5) {
    if (FakeSocket.last.closedWith === null) {
      FakeSocket.last.ready();
      FakeSocket.last.end(1011, "internal", {});
    }
    await pass(0.5);
  }
  assert.ok(FakeSocket.all.length <= 9, `${FakeSocket.all.length} connections`);
});
