/** One of the two users: account, room, socket, log, and what was received of each room. */

import { Account } from "./account.js";
import { Connection, socketPath } from "./connection.js";
import { explainClose } from "./explain.js";
import { Versions } from "./ladder.js";
import { Log } from "./log.js";

/** Milliseconds before the end of a token at which an open socket gets a new one. */
const RENEW_BEFORE = 55_000;
const MAX_TIMER = 2 ** 31 - 1; // of browsers

export class Participant {
	account = null;
	room = { kind: "public", name: "playground" };
	state = "signed out"; // signed in, connecting, open, waiting, closed, session ended
	notice = null; // { state: ok | warn | bad, text, code }
	log = new Log();
	versions = new Versions();
	#connection;
	#pending = new Map(); // ref or client_id to its entry of the log
	#waiters = new Set();
	#failures = 0;
	#replaying = new Set(); // ids of rooms whose resumed is awaited
	#retryAfter = 0;
	#timer;

	constructor(side, protocol, changed) {
		Object.assign(this, { side, protocol, changed });
	}

	get label() {
		return this.account?.username ?? (this.side === "left" ? "First user" : "Second user");
	}

	get open() {
		return this.state === "open";
	}

	get reached() {
		return this.versions.reached(this.roomId);
	}

	#become(state, notice = null) {
		this.state = state;
		this.notice = notice;
		this.changed();
	}

	// The account

	async signIn(path, username, password) {
		this.adopt(await Account.open(path, username, password));
	}

	adopt(account) {
		this.account = account;
		this.#become("signed in");
	}

	async signInAgain() {
		const { username, password } = this.account;
		await this.#trying(() => this.signIn("/login", username, password));
		if (this.state === "signed in") await this.connect();
	}

	signOut() {
		this.disconnect();
		this.account.logOut().catch(() => {});
		this.account = null;
		this.#become("signed out");
	}

	// The room

	/** Enters a room. A group that does not exist is made, with the other user as a member. */
	async enter(room, other) {
		if (room.kind === "group") {
			const mine = await this.account.call("GET", `/rooms?kind=group&q=${encodeURIComponent(room.name)}`);
			const members = other.account ? [other.label] : [];
			if (!mine.some(({ name }) => name === room.name)) await this.account.call("POST", "/rooms/with-members", { name: room.name, members });
		}
		this.roomId = undefined;
		await this.connect(room);
	}

	async addMember(other) {
		await other.#trying(() => this.account.call("POST", `/rooms/${this.roomId}/add-members`, { members: [other.label] }));
		if (other.state === "closed") await other.connect();
	}

	// The socket

	/** Opens the room's socket. With a room that was open before, it asks for what was missed. */
	async connect(room = this.room) {
		this.#drop();
		this.room = room;
		this.#become("connecting");
		const token = await this.#trying(() => this.account.token());
		if (!token || this.state !== "connecting") return;
		const path = socketPath(room, this.reached);
		this.#replaying = new Set(path.includes("?") ? [this.roomId] : []);
		this.log.add("opened", path);
		this.#connection = new Connection(path, token, {
			frame: (text) => this.#receive(text),
			closed: (code, reason) => this.#closed(code, reason),
		});
	}

	/** Ends the socket. The session stays. */
	disconnect() {
		if (this.#connection) this.log.add("closed", "closed by this page");
		this.#drop();
		this.#become("closed");
	}

	#drop() {
		clearTimeout(this.#timer);
		this.#pending.clear();
		this.#connection?.close();
		this.#connection = undefined;
	}

	/** Sends a text as it is, with the token in place of `<token>`. */
	send(text) {
		let frame;
		try {
			frame = JSON.parse(text);
		} catch {
			// On purpose: the server says what it thinks of it.
		}
		if (typeof frame !== "object" || Array.isArray(frame) || !frame) frame = undefined;
		const entry = this.log.add("sent", text, { frame, sent: performance.now() });
		for (const id of [frame?.ref, frame?.client_id]) this.#pending.set(id, entry);
		this.#connection?.send(text.replaceAll("<token>", this.account.access));
		this.changed();
	}

	/** Resolves with the next `{ frame }` or `{ close }` that matches, or nothing after five seconds. */
	until(matches) {
		return new Promise((resolve) => {
			const done = (event) => {
				clearTimeout(timer);
				this.#waiters.delete(waiter);
				resolve(event);
			};
			const waiter = (event) => matches(event) && done(event);
			const timer = setTimeout(done, 5000);
			this.#waiters.add(waiter);
		});
	}

	#announce(event) {
		for (const waiter of [...this.#waiters]) waiter(event);
		this.changed();
	}

	#receive(text) {
		let frame;
		try {
			frame = JSON.parse(text);
		} catch {
			this.log.add("received", text, { problems: ["This is not JSON. Does another program answer at this address?"] });
			return this.changed();
		}
		const problems = this.protocol.problemsOfReceived(frame, this.room.kind);
		this.log.add("received", text, { frame, problems });
		this.#time(frame);
		problems.push(...this.#take(frame));
		this.#announce({ frame });
	}

	/** Notes the time to an answer. */
	#time({ type, ref, client_id }) {
		const entry = this.#pending.get(ref ?? (type === "ack" ? client_id : NaN));
		if (!entry) return;
		const answered = Math.round((performance.now() - entry.sent) * 10) / 10;
		Object.assign(entry, { answered, answer: type, bad: type === "error", revision: 1 });
		this.#pending.delete(entry.frame.ref);
		this.#pending.delete(entry.frame.client_id);
	}

	/** Keeps what a frame says about versions; returns what is wrong with it. */
	#take(frame) {
		if (frame.type === "ready") this.#ready(frame);
		if (frame.type === "followed") this.versions.start(frame.room_id, frame.version);
		if (frame.type === "room_added") this.versions.start(frame.room.id, frame.room.version);
		if (frame.type === "error") this.#retryAfter = frame.retry_after ?? 0;
		if (frame.type === "resumed") {
			const id = frame.room_id ?? this.roomId;
			this.#replaying.delete(id);
			this.versions.resumed(id, frame);
			if (!frame.complete) this.notice = { state: "warn", text: "Too much was missed for a resume: a client loads the history by REST now." };
		}
		if (!frame.id || frame.type === "ack") return [];
		if (frame.type === "message") {
			if (this.room.kind === "events") this.roomId = frame.room_id; // an answer goes there
			if (frame.room_id === this.roomId) this.lastMessage = frame;
		}
		return this.versions.receive(frame, this.#replaying.has(frame.room_id));
	}

	#ready({ user, room, version, rooms = [] }) {
		this.#failures = 0;
		this.#become("open");
		this.userId = user.id;
		if (room) {
			this.roomId = room.id;
			this.versions.start(room.id, version, !this.#replaying.has(room.id));
		} else {
			const known = this.versions.all();
			for (const { id, version } of rooms) this.versions.start(id, version);
			this.roomId ??= rooms[0]?.id;
			this.#replaying = new Set(Object.keys(known).map(Number));
			if (this.#replaying.size) this.send(JSON.stringify({ type: "resume", rooms: known }));
		}
		this.#renewInTime();
		this.protocol.confirmVersion();
	}

	#renewInTime() {
		// At least 20 s: a clock that is wrong by hours must not renew without a pause.
		const delay = Math.max(this.account.expires - Date.now() - RENEW_BEFORE, 20_000);
		this.#timer = setTimeout(async () => {
			await this.#trying(() => this.account.renew());
			if (!this.open) return;
			this.log.add("note", "The token was about to expire: a new one goes into a ping.");
			this.send('{"type":"ping","token":"<token>","ref":"renewal"}');
			this.#renewInTime();
		}, Math.min(delay, MAX_TIMER));
	}

	#closed(code, reason) {
		this.#drop();
		this.log.add("closed", `${code} ${reason}`, { bad: code !== 1000 });
		const { text, next } = explainClose(this.protocol, code, reason);
		this.#become(next === "log_in" ? "session ended" : "closed", { state: code === 1000 ? "ok" : "bad", text, code: reason });
		if (next !== "no" && next !== "log_in") this.#tryAgain(next === "with_new_token");
		this.#announce({ close: { code, reason, text } });
	}

	#tryAgain(renew) {
		// With jitter: after a restart of the server, its clients must not return together.
		const delay = this.#retryAfter + Math.random() * Math.min(30, 2 ** this.#failures++ / 2);
		this.#retryAfter = 0;
		this.#become("waiting", { ...this.notice, text: `${this.notice.text} Trying again in ${delay.toFixed(1)} s.` });
		this.#timer = setTimeout(async () => {
			if (renew) await this.#trying(() => this.account.renew());
			if (this.state === "waiting") await this.connect();
		}, delay * 1000);
	}

	/** Does something by REST. If it fails, the panel says why; without a network it tries again. */
	async #trying(action) {
		try {
			return await action();
		} catch ({ message, status, code }) {
			this.#become(status === 401 ? "session ended" : "closed", { state: "bad", text: message, code });
			if (status === 0) this.#tryAgain(false);
			return undefined;
		}
	}
}
