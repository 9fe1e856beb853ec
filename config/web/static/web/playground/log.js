/** What went over one user's sockets, in the order in which it happened. */

import { html, Component } from "../vendor/htm-preact-standalone.js";
import { CopyMenu } from "./copy_as.js";

/** Entries kept for each user. Older ones are dropped: a page that stays open must not grow. */
export const MAX_ENTRIES = 500;

const TOKEN = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g;

/** Hides tokens: a log is copied into issues and chats. */
export const redact = (text) => text.replace(TOKEN, "<token>");

export class Log {
  entries = [];
  dropped = 0;
  #number = 0;

  /** `direction` is sent, received, opened, closed or note. */
  add(direction, text, more = {}) {
    const at = new Date();
    const entry = { number: ++this.#number, revision: 0, at, direction, text: redact(text), problems: [], ...more };
    this.entries.push(entry);
    if (this.entries.length > MAX_ENTRIES) {
      this.entries.shift();
      this.dropped++;
    }
    return entry;
  }

  clear() {
    this.dropped += this.entries.length;
    this.entries = [];
  }

  jsonl(username) {
    const lines = this.entries.map(({ at, direction, text, frame, answered, code, reason }) =>
      JSON.stringify({
        at: at.toISOString(),
        user: username,
        direction,
        ...(frame || direction === "sent" || direction === "received" ? { frame: frame ? JSON.parse(text) : text } : {}),
        ...(direction === "note" || direction === "opened" ? { text } : {}),
        ...(code ? { code, reason } : {}),
        ...(answered === undefined ? {} : { ack_ms: answered }),
      }),
    );
    return lines.join("\n") + "\n";
  }
}

const ARROWS = { sent: "↑", received: "↓", opened: "○", closed: "×", note: "·" };
const SPOKEN = { sent: "sent", received: "received", opened: "opened", closed: "closed", note: "note" };

const quoted = (text) => `“${text.length > 60 ? `${text.slice(0, 60)}…` : text}”`;

/** One line about a frame, for people. */
export function summary(frame) {
  const text = frame.message ?? frame.content;
  switch (frame.type ?? ("typing" in frame ? "typing" : "message")) {
    case "message":
    case "edit":
      return `${frame.username ? `${frame.username}: ` : ""}${typeof text === "string" ? quoted(text) : ""}`;
    case "delete":
    case "pin":
    case "reaction":
      return `message ${frame.id}`;
    case "ack":
      return `stored as message ${frame.seq}${frame.duplicate ? ", a duplicate" : ""}`;
    case "ready":
      return frame.room ? `version ${frame.version}, ${frame.online_count} online` : `${frame.rooms?.length} rooms`;
    case "resumed":
      return frame.complete ? `everything up to version ${frame.to}` : `too much was missed: reload history`;
    case "error":
      return `${frame.code}: ${frame.message}`;
    case "typing":
      return `${frame.username ?? ""}${frame.typing === false ? " stopped" : ""}`;
    case "read":
    case "delivered":
      return `${frame.username ? `${frame.username} ` : ""}up to ${frame.seq}`;
    case "resume":
      return frame.rooms ? "several rooms" : `since version ${frame.since}`;
    default:
      return frame.username ?? (frame.room_id ? `room ${frame.room_id}` : "");
  }
}

const pad = (number, width) => String(number).padStart(width, "0");
const time = (at) => `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}.${pad(at.getMilliseconds(), 3)}`;

/** Renders again only if its entry changed: a log of 500 would otherwise cost each frame 20 ms. */
class Entry extends Component {
  shouldComponentUpdate(next) {
    return next.entry !== this.props.entry || next.entry.revision !== this.revision;
  }

  render({ entry, participant }) {
    this.revision = entry.revision;
    const { at, direction, text, frame, problems, answered } = entry;
    const kind = frame ? (frame.type ?? ("typing" in frame ? "typing" : "message")) : "";
    const bad = problems.length || frame?.type === "error" || entry.bad;
    const line = html`
      <span class="log-time">${time(at)}</span>
      <span class="log-arrow" aria-hidden="true">${ARROWS[direction]}</span>
      <span class="visually-hidden">${SPOKEN[direction]}</span>
      ${kind && html`<b>${kind}</b>`}
      <span class="log-text">${frame ? summary(frame) : text}</span>
      ${frame?.version && html`<span class="log-tag">v${frame.version}</span>`}
      ${answered !== undefined && html`<span class="log-tag log-ms">${entry.answer} in ${answered} ms</span>`}`;
    const open = direction === "sent" || direction === "received";
    return html`<li class="log-entry log-${direction} ${bad ? "log-bad" : ""}">
      ${open
        ? html`<details onToggle=${(event) => this.setState({ open: event.target.open })}>
            <summary>${line}</summary>
            ${this.state.open &&
            html`<pre>${frame ? JSON.stringify(JSON.parse(text), null, 2) : text}</pre>
              <${CopyMenu} label="Copy frame" participant=${participant} entries=${[entry]} />`}
          </details>`
        : html`<div class="log-line">${line}</div>`}
      ${problems.length > 0 && html`<p class="log-problem">${problems.slice(0, 3).join("; ")}</p>`}
    </li>`;
  }

  setState(state) {
    this.revision = -1;
    super.setState(state);
  }
}

export function LogView({ participant, changed }) {
  const { log } = participant;
  const clear = () => (log.clear(), changed());
  return html`<section class="log" aria-label=${`Frames of ${participant.label}`}>
    <div class="row log-head">
      <h3>Frames <span class="muted small">newest first</span></h3>
      <${CopyMenu} label="Copy log" participant=${participant} entries=${log.entries} whole />
      <button class="button button-small" disabled=${!log.entries.length} onClick=${clear}>Clear</button>
    </div>
    <ol class="log-list" reversed tabindex="0" aria-label=${`Log of ${participant.label}`}>
      ${[...log.entries].reverse().map((entry) => html`<${Entry} key=${entry.number} entry=${entry} participant=${participant} />`)}
    </ol>
    ${!log.entries.length && html`<p class="muted small">Every frame of this user appears here.</p>`}
    ${log.dropped > 0 && html`<p class="muted small">${log.dropped} older entries were dropped; the log keeps ${MAX_ENTRIES}.</p>`}
  </section>`;
}
