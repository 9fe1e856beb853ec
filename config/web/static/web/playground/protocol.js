/** The AsyncAPI document of this server: its frames with examples, and its version. */

import { Schemas } from "./schema.js";

const ADDRESS = "/api/asyncapi.json";
/** Milliseconds between two looks at the version of the server. */
const CONFIRM_INTERVAL = 10_000;

const unionsOf = (kind) => (kind === "events" ? ["EventsClientFrame", "EventsServerFrame"] : ["ClientFrame", "ServerFrame"]);
const typeOf = (frame) => frame.type ?? ("typing" in frame ? "typing" : "message");

async function load() {
  const response = await fetch(ADDRESS, { signal: AbortSignal.timeout(15000) });
  if (!response.ok) throw new Error(`${ADDRESS} answers ${response.status}`);
  return response.json();
}

export class Protocol {
  #confirmed = Date.now();

  static async load(changed) {
    return new Protocol(await load(), changed);
  }

  constructor(document, changed) {
    this.document = document;
    this.changed = changed;
    this.schemas = new Schemas(document);
    this.other = ""; // another version that the server has now
  }

  get version() {
    return this.document.info.version;
  }

  #union(kind, side) {
    return { $ref: `#/components/schemas/${unionsOf(kind)[side]}` };
  }

  problemsOfReceived(frame, kind) {
    return this.schemas.check(frame, this.#union(kind, 1));
  }

  /** What is wrong with a text that is about to be sent. */
  problemsOfDraft(text, kind) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch (error) {
      return [`Not JSON: ${error.message.replace(/ in JSON at position \d+/, "")}`];
    }
    if (typeof frame !== "object" || Array.isArray(frame) || !frame) return ["A frame is one JSON object"];
    return this.schemas.check(frame, this.#union(kind, 0));
  }

  nameOf(text) {
    return typeOf(JSON.parse(text));
  }

  /** The examples of client frames, as `{ name, frame }`. */
  examples(kind) {
    const { oneOf } = this.schemas.resolve(this.#union(kind, 0));
    const { messages } = this.document.components;
    return oneOf.flatMap(({ $ref }) => {
      const { name, examples } = messages[$ref.split("/").pop()];
      return examples.map(({ summary, payload }) => ({ name: `${name}: ${summary}`, frame: payload }));
    });
  }

  /** What the document says about a close code. */
  closeCode(code) {
    return this.document["x-close-codes"].find((entry) => entry.code === code);
  }

  /** The value of a limit such as CHAT_MESSAGE_RATE; null if it is off. */
  limit(name) {
    return this.document["x-limits"].find((limit) => limit.name === name)?.value;
  }

  /** Looks after a reconnect whether the server is still the one that this page was loaded for. */
  async confirmVersion() {
    if (Date.now() - this.#confirmed < CONFIRM_INTERVAL) return;
    this.#confirmed = Date.now();
    const { info } = await load().catch(() => this.document);
    if (info.version === this.version) return;
    this.other = info.version;
    this.changed();
  }
}
