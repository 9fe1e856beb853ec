/** The column of one user: sign-in, room, composer, log. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { Composer } from "./composer.js";
import { LogView } from "./log.js";

const STATES = {
  "signed out": ["", "signed out"],
  "signed in": ["", "signed in"],
  "session ended": ["bad", "session ended"],
  connecting: ["warn", "connecting"],
  open: ["ok", "connected"],
  waiting: ["warn", "connecting again"],
  closed: ["bad", "disconnected"],
};

const KINDS = {
  public: ["Public room", "Room name"],
  group: ["Group", "Group name"],
  private: ["Private room", "With user"],
  events: ["All my rooms", ""],
};

/** Runs a form's action; says what went wrong, and refuses a second click meanwhile. */
function useAction(action) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError("");
    try {
      await action(new FormData(event.target));
    } catch (problem) {
      setError(problem.message);
    }
    setBusy(false);
  };
  return [submit, busy, error];
}

function SignIn({ participant }) {
  const [submit, busy, error] = useAction((form) => participant.signIn(form.get("username").trim(), form.get("password")));
  const id = `${participant.side}-sign-in`;
  return html`<form class="fields" onSubmit=${submit} aria-label=${`Sign in the ${participant.label}`}>
    <label for="${id}-name">Name <input id="${id}-name" name="username" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck=${false} /></label>
    <label for="${id}-password">Password <input id="${id}-password" name="password" type="password" required minlength="8" autocomplete="off" /></label>
    <button class="button button-primary" aria-disabled=${busy}>Sign in</button>
    <p class="small muted wide">A new name is registered with this password, of at least 8 characters.</p>
    ${error && html`<p class="notice notice-bad small wide" role="alert">${error}</p>`}
  </form>`;
}

function RoomForm({ participant, other }) {
  const { room } = participant;
  const [kind, setKind] = useState(room.kind);
  const [submit, busy, error] = useAction((form) => participant.enter({ kind, name: form.get("name")?.trim() ?? "" }, other));
  const id = `${participant.side}-room`;
  const name = kind === "private" ? (other.account ? other.label : "") : room.kind === "private" || room.kind === "events" ? "playground" : room.name;
  return html`<form class="fields" onSubmit=${submit} aria-label=${`Room of ${participant.label}`}>
    <label for="${id}-kind">Room
      <select id="${id}-kind" value=${kind} onChange=${(e) => setKind(e.target.value)}>
        ${Object.entries(KINDS).map(([value, [label]]) => html`<option value=${value}>${label}</option>`)}
      </select></label>
    ${KINDS[kind][1] && html`<label for="${id}-name">${KINDS[kind][1]} <input id="${id}-name" key=${kind} name="name" required maxlength="64" defaultValue=${name} autocomplete="off" autocapitalize="none" /></label>`}
    <button class="button" aria-disabled=${busy}>Enter</button>
    ${error && html`<p class="notice notice-bad small wide" role="alert">${error}</p>`}
  </form>`;
}

function Notice({ participant, other }) {
  const { notice } = participant;
  if (!notice) return null;
  const addable = ["not_a_member", "removed"].includes(notice.code) && other.open && other.room.name === participant.room.name;
  return html`<div class="notice notice-${notice.state} small" role="status">
    <p>${notice.text}</p>
    ${addable && html`<button class="button button-small" onClick=${() => other.addMember(participant)}>Let ${other.label} add ${participant.label}</button>`}
  </div>`;
}

function Account({ participant }) {
  const { account, state, open, room } = participant;
  const minutes = Math.round((account.expires - Date.now()) / 60_000);
  return html`<p class="row small">
    <span class="muted" title="It is renewed a minute before it ends">token good for ${minutes} min</span>
    ${open && html`<button class="button button-small" onClick=${() => participant.disconnect()}>Disconnect</button>`}
    ${state === "closed" && room.id !== undefined && html`<button class="button button-small button-primary" onClick=${() => participant.connect()}>Reconnect</button>`}
    <button class="button button-small" onClick=${() => participant.signOut()}>Sign out</button>
  </p>`;
}

export function Panel({ participant, other, changed }) {
  const { account, state, side } = participant;
  const [tone, word] = STATES[state];
  const ended = state === "session ended";
  return html`<section class="card panel panel-${side}" aria-labelledby="${side}-title" data-state=${state}>
    <header class="row panel-head">
      <h2 id="${side}-title">${account ? account.username : side === "left" ? "First user" : "Second user"}</h2>
      <span class="state ${tone && `state-${tone}`}">${word}</span>
    </header>
    <${Notice} participant=${participant} other=${other} />
    ${!account || ended
      ? ended && account.password
        ? html`<button class="button button-primary" onClick=${() => participant.signInAgain()}>Sign in again</button>`
        : html`<${SignIn} participant=${participant} />`
      : html`<${Account} participant=${participant} />
          <${RoomForm} key=${account.username} participant=${participant} other=${other} />
          <${Composer} participant=${participant} other=${other} />`}
    <${LogView} participant=${participant} changed=${changed} />
  </section>`;
}
