/** The column of one user: sign-in, room, composer, log. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { Composer } from "./composer.js";
import { LogView } from "./log.js";

const TONES = { open: "ok", connecting: "warn", waiting: "warn", closed: "bad", "session ended": "bad" };
const WORDS = { open: "connected", waiting: "connecting again", closed: "disconnected" };
const KINDS = {
	public: ["Public room", "Room name"],
	group: ["Group", "Group name"],
	private: ["Private room", "With user"],
	events: ["All my rooms"],
};

/** A form that says what went wrong, and ignores a second click meanwhile. */
function Form({ action, label, children }) {
	const [error, setError] = useState("");
	const [busy, setBusy] = useState(false);
	const submit = async (event) => {
		event.preventDefault();
		if (busy) return;
		setBusy(true);
		setError("");
		await action(new FormData(event.target, event.submitter)).catch(({ message }) => setError(message));
		setBusy(false);
	};
	return html`<form class="fields" aria-label=${label} aria-busy=${busy} onSubmit=${submit}>
		${children} ${error && html`<p class="notice notice-bad small" role="alert">${error}</p>`}
	</form>`;
}

const Field = ({ label, ...rest }) => html`<label>${label}<input required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck=${false} ...${rest} /></label>`;

const SignIn = ({ user }) => html`<${Form} label="Sign in the ${user.label}"
	action=${(form) => user.signIn(form.get("path"), form.get("username").trim(), form.get("password"))}>
	<${Field} label="Name" name="username" />
	<${Field} label="Password" name="password" type="password" minlength="8" />
	<button class="button button-primary" name="path" value="/login">Sign in</button>
	<button class="button" name="path" value="/register">Register</button>
<//>`;

function RoomForm({ user, other }) {
	const { room, label } = user;
	const [kind, setKind] = useState(room.kind);
	const named = kind === "private" ? (other.account ? other.label : "") : room.kind === kind ? room.name : "playground";
	return html`<${Form} label="Room of ${label}" action=${(form) => user.enter({ kind, name: form.get("name")?.trim() }, other)}>
		<label>Room<select value=${kind} onChange=${({ target }) => setKind(target.value)}>
			${Object.entries(KINDS).map(([value, [name]]) => html`<option value=${value}>${name}</option>`)}
		</select></label>
		${KINDS[kind][1] && html`<${Field} key=${kind} label=${KINDS[kind][1]} name="name" defaultValue=${named} />`}
		<button class="button">Enter</button>
	<//>`;
}

function Notice({ user, other }) {
	const { notice, room, label } = user;
	if (!notice) return null;
	const addable = ["not_a_member", "removed"].includes(notice.code) && other.open && other.room.name === room.name;
	return html`<div class="notice notice-${notice.state} small" role="status">
		<p>${notice.text}</p>
		${addable && html`<button class="button button-small" onClick=${() => other.addMember(user)}>Let ${other.label} add ${label}</button>`}
	</div>`;
}

const Small = ({ primary, ...rest }) => html`<button class="button button-small ${primary && "button-primary"}" ...${rest} />`;

export function Panel({ user, other, changed }) {
	const { account, state, side, room, label } = user;
	const ended = state === "session ended";
	return html`<section class="card panel panel-${side}" aria-labelledby="${side}-title" data-state=${state}>
		<header class="row">
			<h2 id="${side}-title">${label}</h2>
			<span class="state state-${TONES[state]}">${WORDS[state] ?? state}</span>
		</header>
		<${Notice} user=${user} other=${other} />
		${!account || (ended && !account.password)
			? html`<${SignIn} user=${user} />`
			: html`<div class="row small">
					<span class="muted">${ended ? "" : `Token good for ${Math.round((account.expires - Date.now()) / 60_000)} min`}</span>
					${state === "open" && html`<${Small} onClick=${() => user.disconnect()}>Disconnect<//>`}
					${state === "closed" && html`<${Small} primary onClick=${() => user.connect()}>Reconnect<//>`}
					${ended && html`<${Small} primary onClick=${() => user.signInAgain()}>Sign in again<//>`}
					<${Small} onClick=${() => user.signOut()}>Sign out<//>
				</div>
				<${RoomForm} key=${room.kind + room.name} user=${user} other=${other} />
				<${Composer} user=${user} other=${other} />`}
		<${LogView} user=${user} changed=${changed} />
	</section>`;
}
