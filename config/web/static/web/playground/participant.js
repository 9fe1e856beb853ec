/** One of the two users: account, room, socket, log, and what was received of each room. */

import { Backoff } from "../../chat-client/reconnect.js";
import { Account } from "./account.js";
import { Connection, socketPath } from "./connection.js";
import { explainClose, reconnectAfter } from "./explain.js";
import { Versions } from "./ladder.js";
import { Log } from "./log.js";

const VERSIONED = new Set(["message", "edit", "delete", "reaction", "pin"]);

export class Participant {
  account = null;
  room = { kind: "public", name: "playground" };
  roomId = undefined;
  log = new Log();
  versions = new Versions();
  state = "signed out"; // signed in, connecting, open, waiting, closed
  notice = null; // { state: "ok" | "warn" | "bad", text, code? }
  #connection;
  #pending = new Map();
  #replaying = false;
  #waiters = new Set();
  #backoff = new Backoff(Math.random);
  #timer;
  #renewal;
  #retryAfter = 0; // of the last error frame, before a close

  constructor({ side, protocol, changed }) {
    Object.assign(this, { side, protocol, changed });
  }

  get label() {
    return this.account?.username ?? (this.side === "left" ? "first user" : "second user");
  }

  get open() {
    return this.state === "open";
  }

  // The account

  async signIn(username, password) {
    this.adopt(await Account.open(username, password, () => this.changed()));
  }

  /** Takes an account that is signed in, such as one from the start page. */
  adopt(account) {
    this.account = account;
    this.state = "signed in";
    this.notice = null;
    this.changed();
  }

  signOut() {
    this.disconnect();
    this.account = null;
    this.state = "signed out";
    this.changed();
  }

  /** Signs in after the session ended, and returns to the room. */
  async signInAgain() {
    const { username, password } = this.account;
    try {
      await this.signIn(username, password);
      await this.connect();
    } catch (error) {
      this.#failed(error);
    }
  }

  // The socket

  /** Enters a room. A group that does not exist is made, with the other user as a member. */
  async enter(room, other) {
    if (room.kind === "group") {
      const members = other.account ? [other.label] : [];
      try {
        await this.account.call("POST", "/rooms/with-members", { name: room.name, members });
      } catch (error) {
        if (error.code !== "room_exists") throw error;
      }
    }
    await this.connect(room);
  }

  /** Adds a user to this user's room, and connects the added one. */
  async addMember(other) {
    try {
      await this.account.call("POST", `/rooms/${this.roomId}/add-members`, { members: [other.label] });
      await other.connect();
    } catch (error) {
      other.notice = { state: "bad", text: `${this.label} cannot add ${other.label}: ${error.message}` };
      this.changed();
    }
  }

  /** Opens the socket of `room`, or that of the last one; `since` asks for what was missed. */
  async connect(room = this.room, { resume = true } = {}) {
    this.#drop();
    if (room !== this.room) this.roomId = undefined;
    this.room = room;
    this.state = "connecting";
    this.changed();
    try {
      const token = await this.account.token();
      if (this.state !== "connecting") return;
      const since = resume && this.roomId !== undefined ? this.versions.reached(this.roomId) : undefined;
      this.#replaying = since !== undefined && room.kind !== "events";
      const path = socketPath(room, since);
      this.log.add("opened", path);
      const connection = new Connection(path, token, {
        frame: (text) => this.#receive(text),
        closed: (code, reason) => this.#closed(code, reason),
      });
      this.#connection = connection;
    } catch (error) {
      this.#failed(error);
    }
    this.changed();
  }

  /** Ends the socket. The session stays. */
  disconnect() {
    const connection = this.#connection;
    this.#drop();
    if (connection) this.log.add("closed", "1000, by this page", { code: 1000, reason: "" });
    if (this.account) this.state = "closed";
    this.notice = null;
    this.changed();
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    const connection = this.#connection;
    this.#connection = undefined;
    this.#pending.clear();
    connection?.close();
  }

  /** Sends a text as it is, `<token>` in it replaced. Returns its entry of the log. */
  send(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      // On purpose: the server says what it thinks of it.
    }
    if (typeof frame !== "object" || Array.isArray(frame)) frame = undefined;
    const entry = this.log.add("sent", text, { frame });
    entry.sent = performance.now();
    for (const id of [frame?.ref, frame?.client_id]) {
      if (typeof id === "string") this.#pending.set(id, entry);
    }
    this.#connection.send(text.replaceAll("<token>", this.account.access));
    this.changed();
    return entry;
  }

  /** Resolves with the next `{ frame }` or `{ close }` that matches, or null after a while. */
  until(matches, timeout = 5000) {
    return new Promise((resolve) => {
      const waiter = { matches, resolve };
      const timer = setTimeout(() => waiter.done(null), timeout);
      waiter.done = (event) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(event);
      };
      this.#waiters.add(waiter);
    });
  }

  #announce(event) {
    for (const waiter of [...this.#waiters]) {
      if (waiter.matches(event)) waiter.done(event);
    }
  }

  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      this.log.add("received", text, { problems: ["This frame is not JSON: is something else answering at this address?"] });
      this.changed();
      return;
    }
    const problems = this.protocol.problemsOfReceived(frame, this.room.kind);
    const entry = this.log.add("received", text, { frame, problems });
    this.#answer(frame);
    const disorder = this.#track(frame);
    if (disorder) entry.problems.push(disorder);
    if (frame.type === "error") this.#retryAfter = frame.retry_after ?? 0;
    this.#announce({ frame });
    this.changed();
  }

  /** Notes the time to the answer of a frame. */
  #answer(frame) {
    const entry = this.#pending.get(frame.ref) ?? (frame.type === "ack" ? this.#pending.get(frame.client_id) : undefined);
    if (!entry || entry.answered !== undefined) return;
    entry.answered = Math.round((performance.now() - entry.sent) * 10) / 10;
    entry.answer = frame.type;
    entry.bad = frame.type === "error";
    entry.revision++;
    this.#pending.delete(frame.ref);
    this.#pending.delete(frame.client_id);
  }

  #track(frame) {
    if (frame.type === "ready") this.#ready(frame);
    else if (frame.type === "followed") this.versions.start(frame.room_id, frame.version);
    else if (frame.type === "room_added") this.versions.start(frame.room.id, frame.room.version);
    else if (frame.type === "resumed") {
      this.#replaying = false;
      this.versions.resumed(frame.room_id ?? this.roomId, frame);
      if (!frame.complete) this.notice = { state: "warn", text: "More was missed than a resume replays: a client now loads the history by REST." };
    } else if (VERSIONED.has(frame.type)) return this.versions.receive(frame, this.#replaying);
    return "";
  }

  #ready(frame) {
    this.state = "open";
    this.#backoff.reset();
    this.notice = null;
    this.userId = frame.user.id;
    if (frame.room) {
      this.roomId = frame.room.id;
      this.room = { ...this.room, id: frame.room.id };
      this.versions.start(frame.room.id, frame.version, !this.#replaying);
    } else {
      const known = this.versions.all();
      for (const { id, version } of frame.rooms) this.versions.start(id, version);
      if (Object.keys(known).length) {
        this.#replaying = true;
        this.send(JSON.stringify({ type: "resume", rooms: known }));
      }
    }
    this.#renewInTime();
    this.protocol.confirmVersion();
  }

  /** Renews the sign-in of the open socket before the token expires. */
  #renewInTime() {
    const delay = Math.max(this.account.expires - Date.now() - 55_000, 1000);
    this.#renewal = setTimeout(async () => {
      try {
        await this.account.renew();
        if (!this.open) return;
        this.log.add("note", "The access token was about to expire: a new one goes into a ping.");
        this.send('{"type":"ping","token":"<token>"}');
        this.#renewInTime();
      } catch (error) {
        this.notice = { state: "bad", text: `The access token expires soon, and a new one was refused: ${error.message}` };
        this.changed();
      }
    }, Math.min(delay, 2 ** 31 - 1));
  }

  #closed(code, reason) {
    this.#connection = undefined;
    clearTimeout(this.#renewal);
    this.#pending.clear();
    this.log.add("closed", `${code} ${reason}`, { code, reason, bad: code !== 1000 });
    const text = explainClose(this.protocol, code, reason);
    this.#next(reconnectAfter(code, reason), text, code, reason);
    this.#announce({ close: { code, reason, text } });
    this.changed();
  }

  /** Does what the close code says: stop, get new tokens, or try again. */
  #next(reconnect, text, code, reason) {
    this.state = reason === "session_ended" ? "session ended" : "closed";
    this.notice = { state: code === 1000 ? "ok" : "bad", text, code: reason };
    if (reconnect !== "no") this.#tryAgain(reconnect === "with a new token");
  }

  #tryAgain(renew = false) {
    const delay = this.#backoff.next(this.#retryAfter);
    this.#retryAfter = 0;
    this.state = "waiting";
    this.notice.text += ` Connecting again in ${delay.toFixed(1)} s.`;
    this.#timer = setTimeout(async () => {
      try {
        if (renew) await this.account.renew();
        await this.connect();
      } catch (error) {
        this.#failed(error);
      }
    }, delay * 1000);
  }

  #failed(error) {
    this.state = "closed";
    this.notice = { state: "bad", text: error.message, code: error.code };
    if (error.status === 0) this.#tryAgain();
    else if (error.status === 401) this.state = "session ended";
    this.changed();
  }
}
