/** Breaks things on purpose, and says what was done, what was expected and what came. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { messageFrame, newId } from "./composer.js";

const FLOOD = 60;
const FLOOD_MS = 20000;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Sends a message; returns its ack or error. */
async function say(user, text, client_id = newId()) {
	const frame = { ...messageFrame(user, text), client_id };
	const answer = user.until(({ frame: { type, ref } = {} }) => ref === frame.ref && (type === "ack" || type === "error"));
	user.send(JSON.stringify(frame));
	return (await answer)?.frame ?? { message: "No answer came." };
}

/** Does what should close a user's socket; returns the close. */
async function closing(user, action) {
	const closed = user.until(({ close }) => close);
	await action();
	return (await closed)?.close ?? { text: "The socket stayed open." };
}

async function disconnect({ left, right }) {
	left.disconnect();
	return {
		did: `The page closed the socket of ${left.label}. The session stays.`,
		expected: `${right.label} keeps talking; the server stores each message with the next version.`,
		came: `${left.label} has everything up to version ${left.reached}, and receives nothing now.`,
		ok: true,
		next: "meanwhile",
	};
}

async function meanwhile({ left, right }) {
	const away = !left.open;
	const { version, message } = await say(right, `Sent while ${left.label} was ${away ? "away" : "here"}`);
	return {
		did: `${right.label} sent a message.`,
		expected: away
			? `It is stored. ${left.label} is away and misses it: the rung stays open on that side.`
			: `${left.label} is connected and receives it at once. Disconnect first to see a gap.`,
		came: version ? `Stored as version ${version}; ${left.label} has version ${left.reached}.` : message,
		ok: Boolean(version),
		next: away ? "reconnect" : "disconnect",
	};
}

async function reconnect({ left }) {
	const since = left.reached;
	const start = performance.now();
	let replayed = 0;
	const done = left.until(({ frame, close }) => {
		if (frame?.id && frame.version > since) replayed++;
		return close || frame?.type === "resumed";
	});
	await left.connect();
	const { frame, close } = (await done) ?? {};
	return {
		did: `${left.label} connected again with ?since=${since}, the last version that it has.`,
		expected: "Every later change comes in order, then resumed. No gap, and nothing twice.",
		came: frame
			? `Changes replayed: ${replayed}, in ${Math.round(performance.now() - start)} ms. Then resumed, up to version ${frame.to}.`
			: (close?.text ?? "No resumed came."),
		ok: Boolean(frame?.complete),
	};
}

async function twice({ left }) {
	const id = newId();
	const first = await say(left, "Sent twice, stored once", id);
	const second = await say(left, "Sent twice, stored once", id);
	const third = await say(left, "Another text", id);
	return {
		did: `${left.label} sent a message twice with one client_id, then another text with it.`,
		expected: "One message. The second ack says duplicate; the other text is refused: client_id_reused.",
		came: first.id
			? `Message ${first.seq}, then ${second.duplicate ? "a duplicate of" : "another message:"} ${second.seq}, then ${third.code ?? "no error"}.`
			: first.message,
		ok: Boolean(second.duplicate && second.id === first.id && third.code === "client_id_reused"),
	};
}

async function logout({ left }) {
	const { text, reason } = await closing(left, () => left.account.logOut());
	return {
		did: `Another tab of ${left.label} logged out: POST /api/logout with the same session.`,
		expected: "The open socket closes at once with session_ended. Its tokens are worth nothing now.",
		came: text,
		ok: reason === "session_ended",
		fix: left.account.password && [`Sign ${left.label} in again`, () => left.signInAgain()],
	};
}

async function remove({ left, right }) {
	const path = `/rooms/${left.roomId}/members`;
	const members = left.roomId === right.roomId ? await left.account.call("GET", path) : [];
	const owner = [left, right].find(({ label }) => members.some(({ username, role }) => username === label && role !== "member"));
	if (!owner) throw new Error("Neither user may remove the other here. Enter one group with both: who makes it owns it.");
	const removed = owner === left ? right : left;
	let version;
	const { text, reason } = await closing(removed, async () => {
		({ version } = await owner.account.call("DELETE", `${path}/${encodeURIComponent(removed.label)}`));
	});
	return {
		did: `${owner.label} removed ${removed.label} from the room, at version ${version}.`,
		expected: `The socket of ${removed.label} closes with removed; nothing above version ${version} reaches it.`,
		came: text,
		ok: reason === "removed",
		fix: [`Add ${removed.label} again`, () => owner.addMember(removed)],
	};
}

async function flood({ left }) {
	const limit = left.protocol.limit("CHAT_MESSAGE_RATE");
	const start = performance.now();
	let waiting = Array.from({ length: FLOOD }, (_, i) => [`Flood ${i + 1}`, newId()]);
	let refused = 0;
	for (let round = 0; waiting.length && left.open && performance.now() - start < FLOOD_MS; round++) {
		const answers = await Promise.all(waiting.map(([text, id]) => say(left, text, id)));
		waiting = waiting.filter((_, i) => answers[i].type !== "ack");
		if (!round) refused = waiting.length;
		if (waiting.length) await pause(Math.max(0.25, ...answers.map(({ retry_after }) => retry_after ?? 0)));
	}
	return {
		did: `${left.label} sent ${FLOOD} messages at once, and each refused one again after retry_after with its client_id.`,
		expected: limit ? `The limit is ${limit}: some are refused with rate_limited, none is lost or doubled.` : "The limit is off here: all are stored at once.",
		came: `${refused} were refused at first; ${FLOOD - waiting.length} of ${FLOOD} are stored after ${Math.round(performance.now() - start)} ms.`,
		ok: !waiting.length,
	};
}

async function badToken({ left }) {
	const { text, code } = await closing(left, () => left.send('{"type":"ping","token":"not-a-token"}'));
	return {
		did: `${left.label} sent a ping with a token that nobody issued.`,
		expected: "The answer is token_invalid, and the socket closes. The ping has no effect.",
		came: `${text} This page does that by itself.`,
		ok: code === 4401,
	};
}

/** Id, title, action, and whether the left and the right user must be connected. */
const EXPERIMENTS = [
	["disconnect", "Disconnect", disconnect, true],
	["meanwhile", "Send meanwhile", meanwhile, false, true],
	["reconnect", "Reconnect with resume", reconnect],
	["twice", "Same client_id twice", twice, true],
	["logout", "Log out elsewhere", logout, true],
	["remove", "Remove the member", remove, true, true],
	["flood", "Flood", flood, true],
	["token", "Invalid token", badToken, true],
];

/** An error is a result, too. */
async function run([id, title, action, needsLeft, needsRight], { left, right }) {
	const missing = [needsLeft && left, needsRight && right].find((one) => one && !one.open);
	if (missing || left.roomId === undefined) {
		return { id, came: `Connect ${(missing || left).label} first: sign in and enter a room.` };
	}
	return { id, ...(await action({ left, right }).catch(({ message }) => ({ did: title, came: message }))) };
}

export function Experiments({ left, right }) {
	const [result, setResult] = useState();
	const [running, setRunning] = useState(false);
	const start = async (experiment) => {
		if (running) return;
		setRunning(true);
		setResult(await run(experiment, { left, right }));
		setRunning(false);
	};
	const fix = async () => {
		await result.fix[1]();
		setResult({ ...result, fix: null });
	};
	return html`<section class="card" aria-labelledby="experiments-title">
		<h2 id="experiments-title">Break something</h2>
		<div class="row">
			${EXPERIMENTS.map(
				(one) => html`<button class="button button-small ${result?.next === one[0] && "button-primary"}" data-experiment=${one[0]} aria-disabled=${running} onClick=${() => start(one)}>${one[1]}</button>`,
			)}
		</div>
		<div role="status" data-result=${running ? "" : result?.id}>
			${running || !result
				? html`<p class="muted small">${running ? "Running …" : `Each button lets one thing go wrong, mostly for ${left.label}, and says what came. Begin with the first three.`}</p>`
				: html`<${Result} ...${result} run=${fix} />`}
		</div>
	</section>`;
}

const Result = ({ did, expected, came, ok, fix, run }) => html`<div class="notice notice-${ok ? "ok" : "warn"}">
	<dl class="explanation">
		${[["Done", did], ["Expected", expected], ["Result", came]].map(([name, text]) => text && html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}
	</dl>
	${fix && html`<button class="button button-small" onClick=${run}>${fix[0]}</button>`}
</div>`;
