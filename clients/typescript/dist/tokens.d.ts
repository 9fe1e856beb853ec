import type { SafeStorage } from "./storage/safe.js";
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
export interface Tokens {
    /** The user of the sign-in, read from the token; null when signed out. */
    readonly userId: number | null;
    username: string;
    readonly refreshToken: string | undefined;
    /** Takes the sign-in that an earlier start of the program stored. */
    load(): Promise<void>;
    set(pair: TokenPair, username?: string): Promise<void>;
    clear(): Promise<void>;
    /** Returns a valid access token. Throws ChatError `not_authenticated`, or ApiError. */
    access(): Promise<string>;
    /** Replaces the access token that the server refused, unless that has happened already. */
    renew(refused: string): Promise<void>;
}
export declare function createTokens(storage: SafeStorage, now: () => number, refresh: (refresh: string) => Promise<TokenPair>, onSignedOut: () => void, onOtherUser: () => void): Tokens;
