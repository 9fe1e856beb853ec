import type { Storage } from "./storage/memory.js";
export interface TokenPair {
    access: string;
    refresh: string;
}
/**
 * Keeps the sign-in and renews it before it expires.
 *
 * A refresh token is spent by its use. So one renewal runs at a time: within this client by one
 * shared promise, among pages by a lock of the storage, under which a pair that another page has
 * stored is taken over.
 */
export declare class Tokens {
    #private;
    private readonly storage;
    private readonly now;
    private readonly refresh;
    private readonly onSignedOut;
    private readonly report;
    constructor(storage: Storage, now: () => number, refresh: (refresh: string) => Promise<TokenPair>, onSignedOut: () => void, report: (code: string, message: string) => void);
    /** The user of the sign-in, read from the token. */
    get userId(): number | null;
    get username(): string | null;
    set username(username: string);
    get refreshToken(): string | null;
    /** Takes the sign-in that an earlier start of the program stored. */
    load(): Promise<void>;
    set(pair: TokenPair, username?: string | null): Promise<void>;
    clear(): Promise<void>;
    /** Returns a valid access token. Throws ChatError `not_authenticated`, or ApiError. */
    access(): Promise<string>;
    /** Replaces the access token that the server refused, unless that has happened already. */
    renew(refused: string): Promise<void>;
}
