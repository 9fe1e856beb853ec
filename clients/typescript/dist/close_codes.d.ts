/** What a client does after a close, as in `realtime/close_codes.py` of the server. */
export type Reconnect = "no" | "with since" | "with a new token" | "after retry_after";
export interface CloseRule {
    reconnect: Reconnect;
    explanation: string;
}
export declare const CLOSE_CODES: Record<number, CloseRule>;
/** Returns the rule for a close code and the `code` of the error frame before it. */
export declare function closeRule(code: number, error?: string): CloseRule;
