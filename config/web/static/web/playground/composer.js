/** Writes frames: a line to talk, and the JSON of any frame, checked while it is typed. */

import { html, useState } from "../vendor/htm-preact-standalone.js";

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The frame of a message as a careful client sends it. */
export function messageFrame(participant, text) {
  const id = newId();
  const room = participant.room.kind === "events" ? { room_id: participant.roomId } : {};
  return { type: "message", message: text, client_id: id, ref: id, ...room };
}

/** Puts what exists here into an example of the document, so that it can be sent. */
export function fitted(example, participant, other) {
  const values = {
    client_id: newId(),
    ref: newId(),
    token: "<token>",
    username: participant.label,
    room_id: participant.roomId,
    receiver: other.userId,
    reply_to: participant.lastMessage?.id,
    seq: participant.lastMessage?.seq ?? 0,
    since: participant.versions.reached(participant.roomId) ?? 0,
    rooms: participant.versions.all(),
    attachments: undefined,
  };
  const frame = {};
  for (const [name, value] of Object.entries(example)) {
    frame[name] = Object.hasOwn(values, name) ? values[name] : value;
  }
  return frame;
}

const pretty = (frame) => JSON.stringify(frame, null, 2);

export function Composer({ participant, other }) {
  const { protocol, room, open } = participant;
  const [line, setLine] = useState("");
  const [draft, setDraft] = useState("");
  const examples = protocol.examples(room.kind);
  const problems = draft.trim() ? protocol.problemsOfDraft(draft, room.kind) : [];
  const id = `${participant.side}-composer`;

  const talk = (event) => {
    event.preventDefault();
    if (!line.trim()) return;
    participant.send(JSON.stringify(messageFrame(participant, line)));
    setLine("");
  };
  const choose = ({ target }) => {
    if (target.value) setDraft(pretty(fitted(examples[target.value].frame, participant, other)));
  };
  const send = (event) => {
    event?.preventDefault();
    if (open && draft.trim()) participant.send(draft);
  };
  const keys = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event);
  const state = draft.trim() ? (problems.length ? "bad" : "ok") : "";

  return html`<section class="composer" aria-label=${`Write as ${participant.label}`}>
    <form class="talk" onSubmit=${talk}>
      <label class="visually-hidden" for="${id}-line">Message of ${participant.label}</label>
      <input id="${id}-line" value=${line} onInput=${(e) => setLine(e.target.value)} maxlength="4000" autocomplete="off"
        placeholder=${open ? "Say something" : "Enter a room first"} disabled=${!open} />
      <button class="button button-primary" disabled=${!open}>Send</button>
    </form>
    <details class="raw">
      <summary>Write any frame as JSON</summary>
      <form class="stack" onSubmit=${send}>
        <div class="row">
          <label for="${id}-example">Example</label>
          <select id="${id}-example" onChange=${choose}>
            <option value="">choose …</option>
            ${examples.map(({ name }, i) => html`<option value=${i}>${name}</option>`)}
          </select>
        </div>
        <label class="visually-hidden" for="${id}-frame">Frame as JSON</label>
        <textarea id="${id}-frame" rows="6" spellcheck=${false} value=${draft} onInput=${(e) => setDraft(e.target.value)} onKeyDown=${keys}
          aria-invalid=${state === "bad"} aria-describedby="${id}-check" placeholder='{"type": "ping"}'></textarea>
        <div id="${id}-check" class="check small check-${state}" role="status">
          ${state === "ok" && `A valid frame: ${protocol.nameOf(draft)}`}
          ${state === "bad" && html`<ul>${problems.slice(0, 6).map((problem) => html`<li>${problem}</li>`)}</ul>`}
          ${!state && "Checked against the AsyncAPI document while you type. <token> stands for this user's access token."}
        </div>
        <button class="button" disabled=${!open || !draft.trim()}>${state === "bad" ? "Send it anyway" : "Send frame"}</button>
      </form>
    </details>
  </section>`;
}
