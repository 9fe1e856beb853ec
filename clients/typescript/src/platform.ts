/**
 * Declares what the client needs of a browser, Node, Deno or Bun.
 *
 * The core is compiled without DOM types, so a name that only browsers have does not compile.
 */

export interface SocketLike {
  // `any`: the event classes of browsers and of `ws` differ.
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}

export type Fetch = (url: string, init: any) => Promise<ResponseLike>;

export type Timer = unknown;

interface Platform {
  fetch?: Fetch;
  WebSocket?: SocketClass;
  crypto: { getRandomValues(bytes: Uint8Array): Uint8Array };
  atob(text: string): string;
  encodeURIComponent(text: string): string;
  TextEncoder: new () => { encode(text: string): Uint8Array };
  AbortController: new () => { readonly signal: unknown; abort(): void };
  setTimeout(run: () => void, milliseconds: number): Timer;
  clearTimeout(timer: Timer): void;
}

export const platform = globalThis as unknown as Platform;

/** Runs `run` after a number of seconds. */
export function after(seconds: number, run: () => void): Timer {
  return platform.setTimeout(run, seconds * 1000);
}

export function cancel(timer: Timer): void {
  platform.clearTimeout(timer);
}

export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => after(seconds, resolve));
}

/** Returns a new `client_id`: 96 random bits in hexadecimal. */
export function randomId(): string {
  const bytes = [...platform.crypto.getRandomValues(new Uint8Array(12))];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function byteLength(text: string): number {
  return new platform.TextEncoder().encode(text).length;
}
