/** Writes frames: a line to talk, and any frame as JSON, checked while it is typed. */

import { html, useState } from "../vendor/htm-preact-standalone.js";

/** Random, for `client_id` and `ref`. */
export const newId = () => crypto.getRandomValues(new Uint32Array(2)).reduce((id, part) => id + part.toString(36), "");

/** A message as a careful client sends it. */
export function messageFrame({ room, roomId }, text) {
	const id = newId();
	return { type: "message", message: text, client_id: id, ref: id, ...(room.kind === "events" && { room_id: roomId }) };
}

/** Puts what exists here into an example of the document, so that it can be sent. */
function fitted(example, { label, roomId, lastMessage, versions }, other) {
	const values = {
		client_id: newId(),
		token: "<token>",
		username: label,
		room_id: roomId,
		receiver: other.userId,
		reply_to: lastMessage?.id,
		seq: lastMessage?.seq ?? 0,
		since: versions.reached(roomId) ?? 0,
		rooms: versions.all(),
	};
	return Object.fromEntries(Object.entries(example).map(([name, value]) => [name, name in values ? values[name] : value]));
}

export function Composer({ user, other }) {
	const { protocol, room, open, side, label } = user;
	const [line, setLine] = useState("");
	const [draft, setDraft] = useState("");
	const examples = protocol.examples(room.kind);
	const { problems = [], type } = draft.trim() ? protocol.draft(draft, room.kind) : {};
	const state = draft.trim() && (problems.length ? "bad" : "ok");

	const talk = (event) => {
		event.preventDefault();
		if (line.trim()) user.send(JSON.stringify(messageFrame(user, line)));
		setLine("");
	};
	const choose = ({ target: { value } }) => {
		if (value) setDraft(JSON.stringify(fitted(examples[value].frame, user, other), null, 2));
	};
	const send = (event) => {
		event.preventDefault();
		if (open && draft.trim()) user.send(draft);
	};
	const keys = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event);

	return html`<section aria-label="Write as ${label}">
		<form class="talk" onSubmit=${talk}>
			<input aria-label="Message of ${label}" id="${side}-line" value=${line} onInput=${({ target }) => setLine(target.value)}
				autocomplete="off" placeholder=${open ? "Say something" : "Not connected"} disabled=${!open} />
			<button class="button button-primary" disabled=${!open}>Send</button>
		</form>
		<details class="raw">
			<summary>Write any frame as JSON</summary>
			<form onSubmit=${send}>
				<select aria-label="Example" onChange=${choose}>
					<option value="">Start from an example …</option>
					${examples.map(({ name }, i) => html`<option value=${i}>${name}</option>`)}
				</select>
				<textarea aria-label="Frame as JSON" rows="6" spellcheck=${false} value=${draft} onInput=${({ target }) => setDraft(target.value)}
					onKeyDown=${keys} aria-invalid=${state === "bad"} aria-describedby="${side}-check" placeholder='{"type": "ping"}'></textarea>
				<div id="${side}-check" class="check small check-${state}" role="status">
					${!state && "Checked against the AsyncAPI document while you type. <token> stands for this user's access token."}
					${state === "ok" && `Valid: ${type}`}
					${state === "bad" && html`<ul>${problems.slice(0, 5).map((problem) => html`<li>${problem}</li>`)}</ul>`}
				</div>
				<button class="button" disabled=${!open || !draft.trim()}>${state === "bad" ? "Send it anyway" : "Send frame"}</button>
			</form>
		</details>
	</section>`;
}
