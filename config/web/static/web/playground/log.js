/** What went over one user's sockets, in the order in which it happened. */

import { html, Component } from "../vendor/htm-preact-standalone.js";
import { CopyMenu } from "./copy_as.js";

/** Older entries are dropped: a page that stays open must not grow. */
export const MAX_ENTRIES = 500;

export class Log {
	entries = [];
	dropped = 0;
	#number = 0;

	/** `direction` is sent, received, opened, closed or note. Tokens are hidden: logs are shared. */
	add(direction, text, more) {
		text = text.replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, "<token>");
		const entry = { number: ++this.#number, revision: 0, at: new Date(), direction, text, problems: [], ...more };
		// Copies are made of this one: it must not have the token either.
		if (entry.frame) entry.frame = JSON.parse(text);
		this.entries.push(entry);
		if (this.entries.length > MAX_ENTRIES) {
			this.entries.shift();
			this.dropped++;
		}
		return entry;
	}

	clear() {
		this.entries = [];
		this.dropped = 0;
	}

	jsonl(user) {
		const lines = this.entries.map(({ at, direction, text, frame, answered }) =>
			JSON.stringify({ at, user, direction, ...(frame ? { frame: JSON.parse(text) } : { text }), answered_ms: answered }),
		);
		return `${lines.join("\n")}\n`;
	}
}

const ARROWS = { sent: "↑", received: "↓", opened: "○", closed: "×", note: "·" };

const quoted = (text) => `“${text.length > 60 ? `${text.slice(0, 60)}…` : text}”`;

/** One line about a frame, for people. */
export function summary({ type, message = "", ...frame }) {
	const who = frame.username ? `${frame.username}: ` : "";
	if (type === "error") return `${frame.code}: ${message}`;
	if (type === "ack") return `stored as message ${frame.seq}${frame.duplicate ? ", a duplicate" : ""}`;
	if (type === "ready") return frame.room ? `${frame.online_count} online` : `${frame.rooms?.length} rooms`;
	if (type === "resumed") return frame.complete ? `complete up to version ${frame.to}` : "too much was missed";
	if (type === "resume") return frame.rooms ? "several rooms" : `since version ${frame.since}`;
	if (frame.seq && !frame.id) return `${who}up to ${frame.seq}`;
	if (["delete", "pin", "reaction"].includes(type)) return `${who}message ${frame.seq}`;
	const text = String(message || frame.content || "");
	return text ? who + quoted(text) : (frame.username ?? "");
}

const time = (at) => new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(11, 23);

/** Renders again only if its entry changed: with 500 of them each frame would cost 20 ms. */
class Entry extends Component {
	shouldComponentUpdate({ entry }, { open }) {
		return entry.revision !== this.revision || open !== this.state.open;
	}

	render({ entry, user }, { open }) {
		this.revision = entry.revision;
		const { at, direction, text, frame, problems, answered } = entry;
		const line = html`
			<span class="log-time">${time(at)}</span>
			<span class="log-arrow" aria-hidden="true">${ARROWS[direction]}</span>
			<span class="visually-hidden">${direction}</span>
			${frame && html`<b>${frame.type ?? "message"}</b>`}
			<span class="log-text">${frame ? summary(frame) : text}</span>
			${frame?.version !== undefined && html`<span class="log-tag">v${frame.version}</span>`}
			${answered !== undefined && html`<span class="log-tag">${entry.answer} in ${answered} ms</span>`}`;
		const bad = problems.length || entry.bad || frame?.type === "error";
		return html`<li class="log-entry log-${direction} ${bad && "log-bad"}">
			${["sent", "received"].includes(direction)
				? html`<details onToggle=${({ target }) => this.setState({ open: target.open })}>
						<summary class="log-line">${line}</summary>
						${open &&
						html`<pre>${frame ? JSON.stringify(JSON.parse(text), null, 2) : text}</pre>
							<${CopyMenu} label="Copy frame" user=${user} entries=${[entry]} />`}
					</details>`
				: html`<div class="log-line">${line}</div>`}
			${problems.length > 0 && html`<p class="log-problem">${problems.slice(0, 3).join("; ")}</p>`}
		</li>`;
	}
}

export function LogView({ user, changed }) {
	const { log, label } = user;
	if (!log.entries.length && !user.account) return null;
	return html`<section class="log" aria-label="Frames of ${label}">
		<div class="row log-head">
			<h3>Frames <span class="muted small">newest first</span></h3>
			<${CopyMenu} label="Copy log" user=${user} entries=${log.entries} whole />
			<button class="button button-small" onClick=${() => (log.clear(), changed())}>Clear</button>
		</div>
		<ol class="log-list" reversed tabindex="0" aria-label="Log of ${label}">
			${[...log.entries].reverse().map((entry) => html`<${Entry} key=${entry.number} entry=${entry} user=${user} />`)}
		</ol>
		<p class="muted small">${log.dropped > 0 && `${log.dropped} older entries were dropped. `}The log keeps ${MAX_ENTRIES} entries.</p>
	</section>`;
}
