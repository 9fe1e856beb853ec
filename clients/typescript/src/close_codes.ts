/** What a client does after a close, as in `realtime/close_codes.py` of the server. */
export type Reconnect = "no" | "with since" | "with a new token" | "after retry_after";

export interface CloseRule {
  reconnect: Reconnect;
  explanation: string;
}

const RESUME = "with since";

export const CLOSE_CODES: Record<number, CloseRule> = {
  1000: rule("no", "You left"),
  1006: rule(RESUME, "Connection lost"),
  1009: rule(RESUME, "Frame too large"),
  1011: rule(RESUME, "Server error"),
  1012: rule(RESUME, "Server restarts or is busy"),
  4400: rule("no", "Too many unreadable frames"),
  4401: rule("with a new token", "The sign-in is not valid"),
  4403: rule("no", "No access to this room"),
  4404: rule("no", "No such room or user"),
  4408: rule(RESUME, "Reads too slowly"),
  4429: rule("after retry_after", "Too many frames or sockets"),
};

function rule(reconnect: Reconnect, explanation: string): CloseRule {
  return { reconnect, explanation };
}

/** Returns the rule for a close code and the `code` of the error frame before it. */
export function closeRule(code: number, error = ""): CloseRule {
  // Ended on purpose: a renewal would be refused.
  if (error === "session_ended") return rule("no", "Session ended");
  return CLOSE_CODES[code] ?? rule(RESUME, "Connection ended");
}
