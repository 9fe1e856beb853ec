/**
 * Sends messages to a room while the connection is cut, and prints what this client shows.
 *
 *     node drill.mjs '{"url": "http://127.0.0.1:8000", "username": "ila", "password": "…",
 *                      "room": "drill", "messages": 100, "total": 1000, "timeout": 120}'
 *
 * Without an argument the JSON is read from stdin. `access` and `refresh` may replace username and
 * password; `kind` is `public` (default), `group`, `private` or `events` (then `room` is an id);
 * `total` is the number of messages in the room at which the client ends, by default `messages`.
 * --no-resume and --no-resend switch off parts of the delivery promise: the test must then fail.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ChatClient } from "../dist/index.js";

const flags = process.argv.slice(2).filter((argument) => argument.startsWith("--"));
const given = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
const options = { kind: "public", messages: 100, timeout: 120, pause: 0, linger: 1, ...JSON.parse(given ?? readFileSync(0, "utf8")) };
const total = options.total ?? options.messages;

async function webSocket() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  return (await import("ws")).WebSocket; // Node has its own from version 22 on.
}

const chat = new ChatClient({
  url: options.url,
  WebSocket: await webSocket(),
  keep: 100_000,
  maxQueued: options.messages + 1,
  maxQueuedBytes: 50_000_000,
  pingInterval: options.pingInterval ?? 2,
  pongTimeout: options.pongTimeout ?? 2,
  resume: !flags.includes("--no-resume"),
  resend: !flags.includes("--no-resend"),
});
const counts = { closes: 0, frames: 0, errors: {}, duplicateAcks: 0, states: {} };
const states = new Map();
chat.on("error", ({ code }) => (counts.errors[code] = (counts.errors[code] ?? 0) + 1));

async function signIn() {
  if (options.access) return chat.useTokens({ access: options.access, refresh: options.refresh });
  return chat.login(options.username, options.password);
}

async function retrying(run) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (!error.temporary || attempt >= 20) throw error;
      await sleep(200);
    }
  }
}

async function view() {
  if (options.kind === "events") {
    const events = await chat.events();
    return [events, events.room(options.room)];
  }
  const room = { public: chat.room, group: chat.group, private: chat.privateRoom }[options.kind].call(chat, options.room);
  return [room, room];
}

await retrying(signIn);
const [socket, room] = await view();
socket.on("close", () => counts.closes++);
socket.on("frame", ({ direction, frame }) => {
  if (direction !== "in") return;
  counts.frames++;
  if (frame?.type === "ack" && frame.duplicate) counts.duplicateAcks++;
});
let stored = 0;
room.on("messages", (messages) => {
  while (messages[stored]?.state === "sent") stored++;
  // Only the first ones on their way and the last stored ones can have changed.
  for (const message of messages.slice(Math.max(0, stored - 3), stored + 3)) {
    if (message.client_id === null || message.sender !== chat.userId) continue;
    const seen = states.get(message.client_id) ?? [];
    if (seen.at(-1) !== message.state) states.set(message.client_id, [...seen, message.state]);
  }
});
room.open();
const began = Date.now();
const late = () => Date.now() - began > options.timeout * 1000;
for (let number = 0; number < options.messages; number++) {
  room.send(`${options.username ?? chat.userId} ${number}`);
  if (options.pause) await sleep(options.pause * 1000);
}
await Promise.race([room.flush(), sleep(options.timeout * 1000, null, { ref: false })]);
// Not their number: after a long absence the window begins anew, and `loadOlder` shows the rest.
const lastSeq = () => room.messages.findLast(({ seq }) => seq !== null)?.seq ?? 0;
while (!late() && lastSeq() < total) await sleep(50);
await sleep(options.linger * 1000);
await retrying(async () => {
  while (await room.loadOlder(200));
}).catch(() => {});
const shown = room.messages.map(({ id, seq, content, client_id, sender, state, version, deleted }) => ({
  id, seq, text: content, client_id, sender, state, version, deleted, states: states.get(client_id) ?? [],
}));
counts.shown = shown.length;
counts.seconds = (Date.now() - began) / 1000;
for (const { state } of shown) counts.states[state] = (counts.states[state] ?? 0) + 1;
process.stdout.write(`${JSON.stringify({ user: chat.userId, version: room.version, counts, messages: shown })}\n`, () => process.exit(0));
