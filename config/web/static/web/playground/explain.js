/** Says in sentences why a socket closed, and what a client does next. */

import { closeRule } from "../../chat-client/close_codes.js";

const NEXT = {
  no: "Do not reconnect",
  "with since": "Reconnect with since",
  "with a new token": "Get a new token, then reconnect with since",
  "after retry_after": "Wait for retry_after, then reconnect with since",
};

/** What a client does: one of the keys of NEXT. `error` is the reason, which repeats the error frame. */
export const reconnectAfter = (code, error) => closeRule(code, error).reconnect;

export function explainClose(protocol, code, error) {
  const { explanation, reconnect } = closeRule(code, error);
  return `Closed with ${code} ${error || protocol.closeName(code)}. ${explanation}. ${NEXT[reconnect]}.`;
}
