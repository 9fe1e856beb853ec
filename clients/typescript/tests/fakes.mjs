/** A server without a network: sockets that a test drives, REST answers from a function. */
import { mock } from "node:test";
import { ChatClient } from "../dist/index.js";

export const ROOM = { id: 1, name: "friends", kind: "public", title: "", topic: "", created_by: 1, created_at: "2026-11-21T22:10:48.306Z", member_count: 1, last_seq: 0, version: 0 };

/** An access token of user 1; the server reads more of it than the client. */
export function token(name, expiresAt = 4_000_000_000, user_id = 1) {
  return `${name}.${Buffer.from(JSON.stringify({ user_id, exp: expiresAt })).toString("base64url")}.x`;
}

export function message(seq, version = seq, more = {}) {
  return { id: seq + 100, seq, version, room: "friends", room_id: 1, sender: 2, username: "maya", receiver: null, timestamp: "2026-11-21T22:10:49.472Z", edited_at: null, deleted: false, reply_to: null, client_id: null, attachments: [], reactions: [], mentions: [], mentions_all: false, quote: null, pinned: false, content: `text ${seq}`, ...more };
}

export function frame(seq, version = seq, { type = "message", ...more } = {}) {
  const { content, ...members } = message(seq, version, more);
  return { type, ...members, message: content };
}

export class FakeSocket {
  static all = [];
  sent = [];
  closedWith = null;

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  static get last() {
    return FakeSocket.all.at(-1);
  }

  send(text) {
    if (this.closedWith !== null) throw new Error("closed");
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code;
  }

  receive(...frames) {
    for (const one of frames) this.onmessage?.({ data: typeof one === "string" ? one : JSON.stringify(one) });
  }

  ready({ last_seq = 0, version = last_seq, ...room } = {}) {
    this.receive({ type: "ready", room: { ...ROOM, last_seq, version, ...room }, user: { id: 1, username: "ila" }, version, online: ["ila"], online_count: 1 });
  }

  /** Ends as a server does: an error frame, then a close with its code. */
  end(code, reason = "", error = undefined) {
    if (error) this.receive({ type: "error", code: reason, message: reason, ...error });
    this.closedWith = code;
    this.onclose?.({ code, reason });
  }

  sentOf(type) {
    return this.sent.filter((one) => one.type === type);
  }
}

/** `answers` returns `[status, body, headers]`, or throws as without a network. */
export function fakeFetch(answers) {
  const calls = [];
  const fetch = async (url, { method, headers, body }) => {
    const call = { method, path: url.replace(/^.*?\/api/, ""), body: body && JSON.parse(body), headers };
    calls.push(call);
    const [status, content, more = {}] = await answers(call);
    return { ok: status < 300, status, headers: { get: (name) => more[name] ?? null }, text: async () => (content === undefined ? "" : JSON.stringify(content)) };
  };
  return Object.assign(fetch, { calls });
}

/** Lets promises run; with fake timers nothing else does. */
export async function settled() {
  for (let turn = 0; turn < 50; turn++) await null;
}

export async function pass(seconds) {
  // In steps: a timer that starts another one within the time must see that one fire, too.
  for (let left = seconds * 1000; left > 0; left -= 100) {
    mock.timers.tick(Math.min(100, left));
    await settled();
  }
}

/** A client on fakes, signed in as user 1, with a fake clock and no randomness. */
export async function client({ answers = () => [200, []], ...options } = {}) {
  FakeSocket.all = [];
  const fetch = fakeFetch(answers);
  const chat = new ChatClient({ url: "http://chat.test/", fetch, WebSocket: FakeSocket, random: () => 1, ...options });
  const errors = [];
  chat.on("error", ({ code }) => errors.push(code));
  await chat.useTokens({ access: token("a"), refresh: "r" });
  return { chat, fetch, errors };
}

/** A room that is open and has the messages that REST answers. */
export async function openRoom(options = {}, ready = {}) {
  const parts = await client(options);
  const room = parts.chat.room("friends");
  room.open();
  await settled();
  FakeSocket.last.ready(ready);
  await settled();
  return { ...parts, room };
}

export function useFakeClock(test) {
  test.beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_800_000_000_000 }));
  test.afterEach(() => mock.timers.reset());
}

export const texts = (room) => room.messages.map(({ content }) => content);
