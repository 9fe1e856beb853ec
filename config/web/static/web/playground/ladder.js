/** The versions of a room, one rung each: what each of two users has, and what is missing. */

import { html } from "../vendor/htm-preact-standalone.js";
import { summary } from "./log.js";

/** Versions kept for each room, and rungs shown of them. */
const MAX_VERSIONS = 500;
const MAX_RUNGS = 100;

/** What one user has received of each room. */
export class Versions {
  #rooms = new Map();

  room(id) {
    return this.#rooms.get(id);
  }

  /** The version to resume from. */
  reached(id) {
    return this.#rooms.get(id)?.reached;
  }

  /** Every room with its version, for a `resume` of an events socket. */
  all() {
    return Object.fromEntries([...this.#rooms].map(([id, { reached }]) => [id, reached]));
  }

  /** A room that is new here, or entered afresh without a resume, begins at its present version. */
  start(id, version, afresh = false) {
    const room = this.#rooms.get(id);
    if (!room) this.#rooms.set(id, { base: version, reached: version, seen: new Map(), replayed: [] });
    else if (afresh) room.base = room.reached = version;
  }

  /** Takes a frame that has a version; returns what is wrong with its order, if anything. */
  receive(frame, replaying) {
    const room = this.#rooms.get(frame.room_id);
    if (!room) return "";
    const { version } = frame;
    const late = version <= room.reached && !replaying;
    room.seen.set(version, { id: frame.id, type: frame.type, text: summary(frame), replaying });
    room.reached = Math.max(room.reached, version);
    if (room.seen.size > MAX_VERSIONS) {
      const oldest = Math.min(...room.seen.keys());
      room.seen.delete(oldest);
      room.base = Math.max(room.base, oldest);
    }
    return late ? `version ${version} came after ${room.reached}: out of order` : "";
  }

  /** A `resumed`. If it is not complete, the room begins again where the server is. */
  resumed(id, { from, to, complete }) {
    const room = this.#rooms.get(id);
    if (!room) return;
    if (complete) room.replayed.push([from, to]);
    else room.base = to;
    room.replayed = room.replayed.slice(-20);
    room.reached = complete ? Math.max(room.reached, to) : to;
  }

  /** How this user has a version: before, live, replayed, replaced, missing or hole. */
  state(id, version, messageId) {
    const room = this.#rooms.get(id);
    if (!room) return "absent";
    const seen = room.seen.get(version);
    if (seen) return seen.replaying ? "replayed" : "live";
    if (version <= room.base) return "before";
    if (version > room.reached) return "missing";
    const later = [...room.seen].some(([other, { id: of }]) => other > version && of === messageId);
    const within = room.replayed.some(([from, to]) => from <= version && version <= to);
    return later || (within && messageId === undefined) ? "replaced" : "hole";
  }
}

/** Returns the rungs of a room, newest first: version, frame, and how each of `sides` has it. */
export function rungs(sides, id) {
  const known = new Map();
  for (const side of sides) {
    for (const [version, frame] of side.room(id)?.seen ?? []) known.set(version, frame);
  }
  if (!known.size) return [];
  const found = [];
  const last = Math.max(...known.keys());
  for (let version = last; version >= Math.max(Math.min(...known.keys()), last - MAX_RUNGS + 1); version--) {
    const frame = known.get(version);
    found.push({ version, frame, states: sides.map((side) => side.state(id, version, frame?.id)) });
  }
  return found;
}

const MARKS = {
  live: ["●", "has it"],
  replayed: ["◆", "has it, from a resume"],
  replaced: ["◇", "has a later change of this message"],
  before: ["·", "came later: it is history"],
  missing: ["○", "does not have it yet"],
  hole: ["✕", "never got it: a gap"],
  absent: [" ", "is not in this room"],
};

function verdict(participants, found, id) {
  if (!found.length) return ["", "Each stored change of the room gets the next version. Send a message to see the first."];
  const holes = found.filter(({ states }) => states.includes("hole"));
  if (holes.length) return ["bad", `Gap: version ${holes.map(({ version }) => version).join(", ")} never came.`];
  const behind = participants
    .map((participant, i) => [participant.label, found.filter(({ states }) => states[i] === "missing").length])
    .filter(([, missing]) => missing);
  if (behind.length) {
    return ["warn", behind.map(([who, n]) => `${who} is missing ${n} version${n === 1 ? "" : "s"}`).join("; ") + ". A resume brings them."];
  }
  const reached = participants.filter(({ versions }) => versions.room(id));
  return ["ok", `No gap: ${reached.map(({ label }) => label).join(" and ")} ${reached.length > 1 ? "have" : "has"} every version up to ${found[0].version}.`];
}

const Mark = ({ state, who }) => html`<span class="mark mark-${state}" title=${`${who} ${MARKS[state][1]}`}>
  <span aria-hidden="true">${MARKS[state][0]}</span><span class="visually-hidden">${who} ${MARKS[state][1]}</span>
</span>`;

export function Ladder({ participants, room }) {
  const found = rungs(participants.map(({ versions }) => versions), room?.id);
  const [state, sentence] = verdict(participants, found, room?.id);
  const names = participants.map(({ label }) => label);
  return html`<section class="card ladder" aria-labelledby="ladder-title">
    <h2 id="ladder-title">Versions${room?.name ? html` <span class="muted">of ${room.name}</span>` : ""}</h2>
    <p class="notice notice-${state} small" role="status" data-ladder=${state}>${sentence}</p>
    ${found.length > 0 &&
    html`<div class="ladder-names small" aria-hidden="true"><span>${names[0]}</span><span>${names[1]}</span></div>
      <ol class="rungs" reversed tabindex="0" aria-label="Versions, newest first">
        ${found.map(
          ({ version, frame, states }) => html`<li key=${version} class=${states.includes("hole") || states.includes("missing") ? "rung rung-open" : "rung"} data-version=${version}>
            <${Mark} state=${states[0]} who=${names[0]} />
            <span class="rung-step"><b>${version}</b> ${frame ? html`${frame.type} <span class="muted">${frame.text}</span>` : "unknown"}</span>
            <${Mark} state=${states[1]} who=${names[1]} />
          </li>`,
        )}
      </ol>`}
    <p class="legend muted small">● live ◆ from a resume ○ not yet ✕ gap</p>
  </section>`;
}
