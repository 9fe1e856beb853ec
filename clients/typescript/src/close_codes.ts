/** What a client does after a close, as in `realtime/close_codes.py` of the server. */
export type Reconnect = "no" | "with since" | "with a new token" | "after retry_after";

export interface CloseRule {
  reconnect: Reconnect;
  explanation: string;
}

const RESUME = "with since";

export const CLOSE_CODES: Record<number, CloseRule> = {
  1000: rule("no", "You left the room"),
  1006: rule(RESUME, "The connection was lost"),
  1009: rule(RESUME, "A frame was too large"),
  1011: rule(RESUME, "The server had an error"),
  1012: rule(RESUME, "The server restarts or is busy"),
  4400: rule("no", "The server could not read five frames within a minute"),
  4401: rule("with a new token", "The sign-in is missing, invalid or over"),
  4403: rule("no", "You have no access to this room"),
  4404: rule("no", "There is no such room or user"),
  4408: rule(RESUME, "This client did not read fast enough"),
  4429: rule("after retry_after", "Too many frames or connections"),
};

function rule(reconnect: Reconnect, explanation: string): CloseRule {
  return { reconnect, explanation };
}

/** Returns the rule for a close code and the `code` of the error frame before it. */
export function closeRule(code: number, error = ""): CloseRule {
  // Ended on purpose: a renewal would be refused.
  if (error === "session_ended") return rule("no", "The session was ended");
  return CLOSE_CODES[code] ?? rule(RESUME, "The connection ended");
}
