/** The AsyncAPI document of this server: frames, examples, limits, version. */

import { Schemas } from "./schema.js";

const CONFIRM_INTERVAL = 10_000;

const typeOf = (frame) => frame.type ?? ("typing" in frame ? "typing" : "message");

async function load() {
	const response = await fetch("/api/asyncapi.json", { signal: AbortSignal.timeout(15000) });
	if (!response.ok) throw new Error(`HTTP ${response.status}`);
	return response.json();
}

export class Protocol extends Schemas {
	#confirmed = Date.now();
	newer = ""; // the version of a server that replaced this one

	static load = async (changed) => Object.assign(new Protocol(await load()), { changed });

	get version() {
		return this.document.info.version;
	}

	#union(kind, name) {
		return { $ref: `#/components/schemas/${kind === "events" ? "Events" : ""}${name}` };
	}

	problemsOfReceived(frame, kind) {
		return this.check(frame, this.#union(kind, "ServerFrame"));
	}

	/** What is wrong with a text that is about to be sent, and what it is if nothing is. */
	draft(text, kind) {
		let frame;
		try {
			frame = JSON.parse(text);
		} catch (error) {
			return { problems: [`Not JSON: ${error.message.replace(/ in JSON at position \d+/, "")}`] };
		}
		if (typeof frame !== "object" || Array.isArray(frame) || !frame) return { problems: ["A frame is one JSON object"] };
		return { problems: this.check(frame, this.#union(kind, "ClientFrame")), type: typeOf(frame) };
	}

	/** The examples of what a client may send, as `{ name, frame }`. */
	examples(kind) {
		return this.resolve(this.#union(kind, "ClientFrame")).oneOf.flatMap(({ $ref }) => {
			const { name, examples } = this.document.components.messages[$ref.split("/").pop()];
			return examples.map(({ summary, payload }) => ({ name: `${name}: ${summary}`, frame: payload }));
		});
	}

	/** What the document says about a close code. */
	closeCode(code) {
		return this.document["x-close-codes"].find((entry) => entry.code === code);
	}

	/** The value of a limit; null if it is off. */
	limit(name) {
		return this.document["x-limits"].find((limit) => limit.name === name)?.value;
	}

	/** Looks after a reconnect whether the server is still the same. */
	async confirmVersion() {
		if (Date.now() - this.#confirmed < CONFIRM_INTERVAL) return;
		this.#confirmed = Date.now();
		const { info } = await load().catch(() => this.document);
		if (info.version !== this.version) this.newer = info.version;
		this.changed();
	}
}
