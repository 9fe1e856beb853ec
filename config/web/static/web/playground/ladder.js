/** The versions of a room, one rung each: what each of two users has, and what is missing. */

import { html } from "../vendor/htm-preact-standalone.js";
import { summary } from "./log.js";

/** Versions kept for each room, and rungs shown of them. */
const MAX_VERSIONS = 500;
const MAX_RUNGS = 100;

/** What one user has received of each room. */
export class Versions {
	#rooms = new Map();

	/** The version to resume from. */
	reached(id) {
		return this.#rooms.get(id)?.reached;
	}

	/** Every room with its version, for a `resume` of an events socket. */
	all() {
		return Object.fromEntries([...this.#rooms].map(([id, { reached }]) => [id, reached]));
	}

	seen(id) {
		return this.#rooms.get(id)?.seen ?? new Map();
	}

	/** A room that is new here, or entered afresh without a resume, begins at its present version. */
	start(id, version, afresh) {
		const room = this.#rooms.get(id);
		if (!room) this.#rooms.set(id, { base: version, reached: version, seen: new Map(), replays: [] });
		else if (afresh) room.base = room.reached = version;
	}

	/** Takes a frame with a version; returns what is wrong with its order. */
	receive({ room_id, version, ...frame }, replayed) {
		const room = this.#rooms.get(room_id);
		if (!room) return [];
		const late = version <= room.reached && !replayed;
		room.seen.set(version, { ...frame, replayed });
		if (room.seen.size > MAX_VERSIONS) {
			room.base = Math.min(...room.seen.keys());
			room.seen.delete(room.base);
		}
		if (late) return [`version ${version} came after ${room.reached}: out of order`];
		room.reached = Math.max(room.reached, version);
		return [];
	}

	/** After a `resumed` that is not complete the room begins again where the server is. */
	resumed(id, { from, to, complete }) {
		const room = this.#rooms.get(id);
		if (!room) return;
		if (complete) room.replays = [...room.replays.slice(-20), [from, to]];
		else room.base = to;
		room.reached = Math.max(complete ? room.reached : 0, to);
	}

	/** How this user has a version: one of MARKS. */
	state(id, version, message) {
		const room = this.#rooms.get(id);
		if (!room) return "absent";
		const seen = room.seen.get(version);
		if (seen) return seen.replayed ? "replayed" : "live";
		if (version <= room.base) return "before";
		if (version > room.reached) return "missing";
		const later = [...room.seen].some(([other, { id }]) => other > version && id === message);
		const covered = !message && room.replays.some(([from, to]) => from <= version && version <= to);
		return later || covered ? "replaced" : "hole";
	}
}

/** Returns the rungs of a room, newest first: version, frame, and how each of `sides` has it. */
export function rungs(sides, id) {
	const known = new Map(sides.flatMap((side) => [...side.seen(id)]));
	const last = Math.max(...known.keys());
	const first = Math.max(Math.min(...known.keys()), last - MAX_RUNGS + 1);
	return Array.from({ length: known.size && last - first + 1 }, (_, i) => {
		const frame = known.get(last - i);
		return { version: last - i, frame, states: sides.map((side) => side.state(id, last - i, frame?.id)) };
	});
}

const MARKS = {
	live: ["●", "has it"],
	replayed: ["◆", "has it, from a resume"],
	replaced: ["◇", "has a later change of this message"],
	before: ["·", "came later: it is history"],
	missing: ["○", "does not have it yet"],
	hole: ["✕", "never got it: a gap"],
	absent: ["", "is not in this room"],
};

function verdict(names, found) {
	if (!found.length) return ["", "Each stored change of a room gets the next version. Send a message to see one."];
	const count = (side, state) => found.filter(({ states }) => states[side] === state).length;
	const sentences = (state, verb) =>
		[0, 1].filter((side) => count(side, state)).map((side) => `${names[side]} ${verb} ${count(side, state)} of these versions.`);
	const holes = sentences("hole", "never got");
	if (holes.length) return ["bad", `A gap. ${holes.join(" ")}`];
	const missing = sentences("missing", "is missing");
	if (missing.length) return ["warn", `${missing.join(" ")} A resume brings what is missing.`];
	return ["ok", `No gap up to version ${found[0].version}.`];
}

const Mark = ({ state, who }) => html`<span class="mark mark-${state}" title="${who} ${MARKS[state][1]}">
	<span aria-hidden="true">${MARKS[state][0]}</span><span class="visually-hidden">${who} ${MARKS[state][1]}</span>
</span>`;

export function Ladder({ users, room }) {
	const names = users.map(({ label }) => label);
	const found = rungs(users.map(({ versions }) => versions), room?.id);
	const [state, sentence] = verdict(names, found);
	return html`<section class="card ladder" aria-labelledby="ladder-title">
		<h2 id="ladder-title">Versions <span class="muted">${room?.name && `of ${room.name}`}</span></h2>
		<p class="notice notice-${state} small" role="status" data-ladder=${state}>${sentence}</p>
		${found.length > 0 &&
		html`<div class="ladder-names small" aria-hidden="true">${names.map((name) => html`<span>${name}</span>`)}</div>
			<ol class="rungs" reversed tabindex="0" aria-label="Versions, newest first">
				${found.map(
					({ version, frame, states }) => html`<li key=${version} class="rung rung-${states.includes("hole") || states.includes("missing") ? "open" : "whole"}" data-version=${version}>
						<${Mark} state=${states[0]} who=${names[0]} />
						<span class="rung-step"><b>${version}</b> ${frame && `${names[1] === frame.username ? "←" : "→"} ${frame.type === "message" ? "" : frame.type} ${summary({ ...frame, username: "" })}`}</span>
						<${Mark} state=${states[1]} who=${names[1]} />
					</li>`,
				)}
			</ol>
			<p class="muted small">● live ◆ resumed ○ not yet ✕ gap</p>`}
	</section>`;
}
