import type { StoredMessage } from "./message.js";
/**
 * How a replay arrives: `ordered` in place of live frames, as after connecting with `since`, or
 * `mixed` with live frames, as after a `resume` frame.
 */
export type Replay = "ordered" | "mixed";
/**
 * The messages of one room in order and without a gap.
 *
 * `items` are contiguous by `seq`. Messages beyond the next `seq` wait until those between have
 * arrived, so a view never shows a hole.
 */
export interface Timeline {
    /** The version to resume from: everything up to it was received. null before the first history. */
    version: number | null;
    readonly replay: Replay | null;
    /** Whether history is being loaded. */
    readonly loading: boolean;
    readonly items: StoredMessage[];
    /** How many changes of messages before the first item were left out. */
    readonly outside: number;
    /** The `seq` up to which `items` are complete. */
    readonly end: number;
    /** Starts waiting for history, where nothing is known yet or too much was missed. */
    load(version: number): void;
    startReplay(replay: Replay): void;
    /** Takes the newest page of history; `lastSeq` is the end of an empty room. */
    loaded(page: StoredMessage[], lastSeq: number): void;
    /** Takes a page before the first message. */
    prepend(page: StoredMessage[]): void;
    /** Takes a page after `end`. What the server leaves out does not exist. */
    fill(page: StoredMessage[]): void;
    /**
     * Takes a change from the socket. Returns whether versions before it are missing: either a later
     * change of the same message replaced them, or frames were lost. A resume answers which.
     */
    receive(message: StoredMessage): boolean;
    /** Ends a complete replay. Returns whether versions are missing after it, as `receive` does. */
    resumed(to: number): boolean;
    /** Whether messages are missing that no replay under way brings. */
    hasGap(): boolean;
    hasOlder(): boolean;
    /** Adds or replaces a message; of two states the one with the higher version wins. */
    put(message: StoredMessage): void;
    /** Counts as received what the server has up to `version`: only tests of the promise do. */
    skipTo(version: number, end: number): void;
}
/** `keep` bounds the messages in memory; older ones can be loaded again. */
export declare function createTimeline(keep: number): Timeline;
