/** What a client does after a close, as in `realtime/close_codes.py` of the server. */
export type Reconnect = "no" | "with since" | "with a new token" | "after retry_after";

export interface CloseRule {
  reconnect: Reconnect;
  explanation: string;
}

export const CLOSE_CODES: Record<number, CloseRule> = {
  1000: { reconnect: "no", explanation: "Closed on purpose: you left the room or ended the session here" },
  1006: { reconnect: "with since", explanation: "The connection was lost" },
  1009: { reconnect: "with since", explanation: "A frame was too large for the server" },
  1011: { reconnect: "with since", explanation: "The server had an internal error" },
  1012: { reconnect: "with since", explanation: "The server restarts or is busy" },
  4400: { reconnect: "no", explanation: "The server could not read five frames within a minute" },
  4401: { reconnect: "with a new token", explanation: "The sign-in is missing, invalid or has expired" },
  4403: { reconnect: "no", explanation: "You have no access to this room" },
  4404: { reconnect: "no", explanation: "There is no such room or user" },
  4408: { reconnect: "with since", explanation: "This client did not read fast enough" },
  4429: { reconnect: "after retry_after", explanation: "Too many frames or connections" },
};

const UNKNOWN: CloseRule = { reconnect: "with since", explanation: "The connection ended" };
const ENDED: CloseRule = {
  reconnect: "no",
  explanation: "The session was ended by logout, a password change or an administrator",
};

/** Returns the rule for a close code and the `code` of the error frame before it. */
export function closeRule(code: number, error = ""): CloseRule {
  // Ended on purpose: a renewal would be refused.
  return error === "session_ended" ? ENDED : (CLOSE_CODES[code] ?? UNKNOWN);
}
