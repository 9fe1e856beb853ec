/** Says in sentences why a socket closed, and what a client does next. */

const NEXT = {
	no: "Do not reconnect.",
	with_since: "Reconnect with since.",
	with_new_token: "Get a new token, then reconnect with since.",
	after_delay: "Wait for retry_after, then reconnect with since.",
	log_in: "The tokens are worth nothing now: log in again.",
};
const LOST = { name: "", description: "The connection ended.", reconnect: "with_since" };

/** Returns what happened as a sentence, and what a client does: a key of NEXT. */
export function explainClose(protocol, code, error) {
	const { name, description, reconnect } = protocol.closeCode(code) ?? LOST;
	// Somebody ended the session on purpose: a new token would be refused.
	const next = error === "session_ended" ? "log_in" : reconnect;
	return { next, text: `Closed with ${code} ${error || name}. ${description.replaceAll("`", "")} ${NEXT[next]}` };
}
