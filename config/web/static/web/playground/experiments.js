/** Breaks things on purpose, and says what was done, what was expected and what came. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { messageFrame, newId } from "./composer.js";

const FLOOD = 60;

const answerTo = (ref) => ({ frame }) => frame?.ref === ref && (frame.type === "ack" || frame.type === "error");
const closing = ({ close }) => close !== undefined;
const seconds = (since) => `${Math.round(performance.now() - since)} ms`;
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const NOTHING = "Nothing came within five seconds.";

/** Sends a message and waits for its ack or error. */
async function say(participant, text, id = newId()) {
  const frame = { ...messageFrame(participant, text), client_id: id, ref: newId() };
  const answer = participant.until(answerTo(frame.ref));
  participant.send(JSON.stringify(frame));
  return (await answer)?.frame;
}

async function disconnect({ left }) {
  left.disconnect();
  return {
    did: `The socket of ${left.label} was closed. The session stays.`,
    expected: "The other user keeps talking; the server stores each message with the next version.",
    came: `${left.label} has everything up to version ${left.versions.reached(left.roomId)}, and receives nothing now.`,
    ok: !left.open,
    next: "meanwhile",
  };
}

async function meanwhile({ left, right }) {
  const away = !left.open;
  const answer = await say(right, `Sent while ${left.label} was ${away ? "away" : "here"}`);
  const version = answer?.version;
  return {
    did: `${right.label} sent a message.`,
    expected: away
      ? `It is stored. ${left.label}, who is disconnected, misses it: the rung stays open on that side.`
      : `${left.label} is connected and receives it at once. Disconnect first to see a gap.`,
    came: version ? `Stored as version ${version}; ${left.label} has ${left.versions.reached(left.roomId)}.` : (answer?.message ?? NOTHING),
    ok: Boolean(version),
    next: away ? "reconnect" : "disconnect",
  };
}

async function reconnect({ left }) {
  const since = left.versions.reached(left.roomId);
  const start = performance.now();
  let replayed = 0;
  const done = left.until(({ frame, close }) => {
    if (frame?.version > since && frame.id) replayed++;
    return close || frame?.type === "resumed";
  });
  await left.connect();
  const { frame, close } = (await done) ?? {};
  return {
    did: `${left.label} connected again with ?since=${since}, the last version that it has.`,
    expected: "Everything after that version comes in order, then resumed: no gap, nothing twice.",
    came: frame
      ? `${plural(replayed, "change")} replayed in ${seconds(start)}; resumed up to version ${frame.to}${frame.complete ? "" : ", not complete"}.`
      : (close?.text ?? NOTHING),
    ok: Boolean(frame?.complete),
  };
}

async function twice({ left }) {
  const id = newId();
  const first = await say(left, "Sent twice, stored once", id);
  const second = await say(left, "Sent twice, stored once", id);
  const third = await say(left, "Another text", id);
  return {
    did: `${left.label} sent one message twice with the same client_id, then another text with it.`,
    expected: "One message. The second ack says duplicate, and the other text is refused: client_id_reused.",
    came: first?.id
      ? `Message ${first.id} at version ${first.version}; then ${second?.duplicate ? "a duplicate of" : "new message"} ${second?.id}; then ${third?.code ?? "no error"}.`
      : (first?.message ?? NOTHING),
    ok: Boolean(second?.duplicate && second.id === first.id && third?.code === "client_id_reused"),
  };
}

async function logout({ left }) {
  const closed = left.until(closing);
  await left.account.endElsewhere();
  const { close } = (await closed) ?? {};
  return {
    did: `Another tab logged ${left.label} out: POST /api/logout with the same session.`,
    expected: "The open socket closes at once with 4401 session_ended. Its tokens are worth nothing now.",
    came: close?.text ?? NOTHING,
    ok: close?.code === 4401 && close.reason === "session_ended",
    fix: left.account.password && { label: `Sign ${left.label} in again`, run: () => left.signInAgain() },
  };
}

async function remove({ left, right, connected }) {
  const room = left.roomId;
  const members = await left.account.call("GET", `/rooms/${room}/members`);
  const rights = ({ label }) => ["owner", "admin"].includes(members.find(({ username }) => username === label)?.role);
  const owner = connected.find(rights);
  if (!owner || left.roomId !== right.roomId) {
    return {
      did: "Nobody was removed.",
      expected: "An owner or admin of a room can remove a member.",
      came: "Neither user may do that here. Enter one group with both: the user who makes it owns it.",
      ok: false,
    };
  }
  const removed = owner === left ? right : left;
  const closed = removed.until(closing);
  const { version } = await owner.account.call("DELETE", `/rooms/${room}/members/${encodeURIComponent(removed.label)}`);
  const { close } = (await closed) ?? {};
  return {
    did: `${owner.label} removed ${removed.label} at version ${version}.`,
    expected: `The socket of ${removed.label} closes with 4403 removed; nothing above version ${version} reaches it.`,
    came: close?.text ?? NOTHING,
    ok: close?.code === 4403,
    fix: { label: `Add ${removed.label} again`, run: () => owner.addMember(removed) },
  };
}

async function flood({ left, protocol }) {
  const start = performance.now();
  const limit = protocol.limit("CHAT_MESSAGE_RATE");
  let waiting = Array.from({ length: FLOOD }, (_, i) => [newId(), `Flood ${i + 1}`]);
  let refused = 0;
  let stored = 0;
  for (let round = 0; waiting.length && round < 12; round++) {
    const answers = await Promise.all(waiting.map(([id, text]) => say(left, text, id)));
    const again = waiting.filter((_, i) => answers[i]?.type !== "ack");
    stored += waiting.length - again.length;
    if (!round) refused = again.length;
    waiting = again;
    const pause = Math.max(0.25, ...answers.map((answer) => answer?.retry_after ?? 0));
    if (waiting.length) await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    if (!left.open) break;
  }
  return {
    did: `${left.label} sent ${FLOOD} messages at once, and each refused one again after retry_after with its client_id.`,
    expected: limit ? `The limit is ${limit}: some are refused with rate_limited, none is lost or doubled.` : "The limit is off here: all are stored.",
    came: `${refused} refused at first, ${stored} of ${FLOOD} stored after ${seconds(start)}.`,
    ok: stored === FLOOD,
  };
}

async function badToken({ left }) {
  const closed = left.until(closing);
  left.send('{"type":"ping","token":"not-a-token"}');
  const { close } = (await closed) ?? {};
  return {
    did: `${left.label} sent a ping with a token that nobody issued.`,
    expected: "error token_invalid, close 4401; the ping has no effect. A client gets a new token and returns.",
    came: `${close?.text ?? NOTHING}${close ? " This page does so by itself." : ""}`,
    ok: close?.code === 4401,
  };
}

/** `needs` names who must be connected: left, right or both. */
export const EXPERIMENTS = [
  { id: "disconnect", title: "Disconnect", needs: "left", run: disconnect },
  { id: "meanwhile", title: "Send meanwhile", needs: "right", run: meanwhile },
  { id: "reconnect", title: "Reconnect with resume", needs: "", run: reconnect },
  { id: "twice", title: "Same client_id twice", needs: "left", run: twice },
  { id: "logout", title: "Log out elsewhere", needs: "left", run: logout },
  { id: "remove", title: "Remove the member", needs: "both", run: remove },
  { id: "flood", title: "Flood", needs: "left", run: flood },
  { id: "token", title: "Invalid token", needs: "left", run: badToken },
];

function lacking(needs, { left, right }) {
  const who = { left: [left], right: [right], both: [left, right] }[needs] ?? [];
  return who.find(({ open }) => !open);
}

/** Runs an experiment; whatever it throws is a result too. */
export async function run(experiment, page) {
  const missing = lacking(experiment.needs, page);
  if (missing || page.left.roomId === undefined) {
    return { came: `${(missing ?? page.left).label} must be in a room first: sign in, then enter one.`, ok: false };
  }
  try {
    return await experiment.run(page);
  } catch (error) {
    return { did: experiment.title, came: error.message, ok: false };
  }
}

export function Experiments({ left, right, protocol }) {
  const [result, setResult] = useState(null);
  const [running, setRunning] = useState("");
  const page = { left, right, protocol, connected: [left, right] };

  const start = async (experiment) => {
    setRunning(experiment.id);
    setResult({ ...(await run(experiment, page)), title: experiment.title, id: experiment.id });
    setRunning("");
  };
  const fix = async () => {
    await result.fix.run().catch((error) => setResult({ ...result, came: error.message, ok: false }));
    setResult((old) => ({ ...old, fix: undefined }));
  };

  return html`<section class="card experiments" aria-labelledby="experiments-title">
    <h2 id="experiments-title">Break something</h2>
    <div class="row">
      ${EXPERIMENTS.map(
        (one) => html`<button class="button button-small ${result?.next === one.id ? "button-primary" : ""}" data-experiment=${one.id} aria-disabled=${Boolean(running)} onClick=${() => running || start(one)}>
          ${one.title}</button>`,
      )}
    </div>
    <div role="status" class="result" data-result=${running ? "" : (result?.id ?? "")}>
      ${running && html`<p class="muted">Running …</p>`}
      ${!running && !result && html`<p class="muted small">Each button does one thing that goes wrong in real life, to ${left.label}, and explains what came. Start with the first three, from left to right.</p>`}
      ${!running && result && html`<${Result} result=${result} fix=${fix} />`}
    </div>
  </section>`;
}

const Result = ({ result, fix }) => html`<div class="notice notice-${result.ok ? "ok" : "warn"}" data-ok=${result.ok}>
  <dl class="explanation">
    ${result.did && html`<div><dt>Done</dt><dd>${result.did}</dd></div>`}
    ${result.expected && html`<div><dt>Expected</dt><dd>${result.expected}</dd></div>`}
    <div><dt>Came</dt><dd>${result.came}</dd></div>
  </dl>
  ${result.fix && html`<button class="button button-small" onClick=${fix}>${result.fix.label}</button>`}
</div>`;
