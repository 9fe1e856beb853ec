import { ApiError } from "./errors.js";
import type { paths } from "./generated/openapi.js";
import { after, cancel, platform, type Fetch } from "./platform.js";
import type { Tokens } from "./tokens.js";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

type Operation<M extends Method, P extends keyof paths> = Extract<
  paths[P][Lowercase<M> & keyof paths[P]],
  { responses: unknown }
>;
/** The paths that have a method, without the prefix `/api`. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: [Operation<M, P>] extends [never] ? never : P extends `/api${infer Rest}` ? Rest : never;
}[keyof paths];
type Full<P extends string> = `/api${P}` & keyof paths;

type Params<O> = O extends { parameters: { path: infer T extends object } } ? { params: T } : { params?: never };
type Query<O> = O extends { parameters: { query?: infer T } } ? { query?: NonNullable<T> } : { query?: never };
type Body<O> = O extends { requestBody: { content: { "application/json": infer T } } }
  ? { body: T }
  : O extends { requestBody?: { content: { "application/json": infer T } } }
    ? { body?: T }
    : { body?: unknown };
type Content<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Success<R> = { [S in keyof R & (200 | 201 | 204)]: Content<R[S]> }[keyof R & (200 | 201 | 204)];

export type RestOptions<M extends Method, P extends PathOf<M>> = Params<Operation<M, Full<P>>> &
  Query<Operation<M, Full<P>>> &
  Body<Operation<M, Full<P>>>;
export type RestAnswer<M extends Method, P extends PathOf<M>> =
  Operation<M, Full<P>> extends { responses: infer R } ? Success<R> : never;
type Arguments<T> = object extends T ? [options?: T] : [options: T];

interface AnyOptions {
  params?: Record<string, string | number>;
  query?: Record<string, unknown>;
  body?: unknown;
}
interface Init {
  method: string;
  headers: Record<string, string>;
  body?: unknown;
}

export type Call = <M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  ...options: Arguments<RestOptions<M, P>>
) => Promise<RestAnswer<M, P>>;

const TIMEOUT = 30;
const OPEN = ["/register", "/login", "/token/refresh", "/token/verify"];

/** Returns a function that calls the REST API, and renews the sign-in when the server asks for it. */
export function createRest(address: string, fetch: Fetch, tokens: Tokens): Call {
  async function send(url: string, init: Init): Promise<unknown> {
    const stop = new platform.AbortController();
    const timer = after(TIMEOUT, () => stop.abort());
    try {
      const answer = await fetch(url, { ...init, signal: stop.signal });
      const content = parsed(await answer.text());
      if (answer.ok) return content;
      const { code = "http_error", detail = `The server answered ${answer.status}`, errors } = content ?? {};
      throw new ApiError(answer.status, code, detail, Number(answer.headers.get("Retry-After")) || null, errors);
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(0, "network", `The server cannot be reached: ${error}`);
    } finally {
      cancel(timer);
    }
  }

  async function signedIn(url: string, init: Init, again = false): Promise<unknown> {
    const access = await tokens.access();
    init.headers.Authorization = `Bearer ${access}`;
    try {
      return await send(url, init);
    } catch (error) {
      if (again || (error as ApiError).status !== 401) throw error;
      await tokens.renew(access);
      return signedIn(url, init, true);
    }
  }

  // `any`: the checker cannot relate one body to all operations.
  const call: any = async (method: Method, path: string, { params, query = {}, body }: AnyOptions = {}) => {
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params![name]!));
    const pairs = Object.entries(query).filter(([, value]) => value != null);
    const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
    const init: Init = { method, headers: {}, body };
    // `fetch` writes the type and the boundary of a FormData.
    if (body !== undefined && String(body) !== "[object FormData]") {
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    return (OPEN.includes(path) ? send : signedIn)(`${address}/api${filled}${search && `?${search}`}`, init);
  };
  return call;
}

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // An empty answer, or one of a proxy.
  }
}

declare function encodeURIComponent(text: string | number): string;
