import { ApiError } from "./errors.js";
import type { paths } from "./generated/openapi.js";
import { after, cancel, platform, type Fetch, type ResponseLike } from "./platform.js";
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

const TIMEOUT = 30;
const OPEN = new Set(["/register", "/login", "/token/refresh", "/token/verify"]);

/** Calls the REST API, and renews the sign-in when the server asks for it. */
export class Rest {
  constructor(
    private readonly url: string,
    private readonly fetch: Fetch,
    private readonly tokens: Tokens,
  ) {}

  /** Throws ApiError. */
  readonly call = async <M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    ...[options]: Arguments<RestOptions<M, P>>
  ): Promise<RestAnswer<M, P>> => {
    const { url, init } = this.#request(method, path, (options as AnyOptions | undefined) ?? {});
    const answer: any = await (OPEN.has(path) ? this.send(url, init) : this.#signedIn(url, init));
    return answer;
  };

  /** Sends a request without renewing. */
  async send(url: string, init: Init): Promise<unknown> {
    const stop = new platform.AbortController();
    const timer = after(TIMEOUT, () => stop.abort());
    let answer: ResponseLike;
    let text: string;
    try {
      answer = await this.fetch(url, { ...init, signal: stop.signal });
      text = await answer.text();
    } catch (error) {
      throw new ApiError(0, "network", `The server cannot be reached: ${(error as Error).message}`);
    } finally {
      cancel(timer);
    }
    const content = parsed(text);
    if (!answer.ok) throw refusal(answer, content);
    return content;
  }

  async #signedIn(url: string, init: Init): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const access = await this.tokens.access();
      init.headers.Authorization = `Bearer ${access}`;
      try {
        return await this.send(url, init);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401 || attempt) throw error;
        await this.tokens.renew(access);
      }
    }
  }

  #request(method: Method, path: string, { params, query, body }: AnyOptions) {
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(params?.[name])));
    const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
    const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
    const init: Init = { method, headers: {} };
    if (isForm(body)) {
      init.body = body;
    } else if (body !== undefined) {
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    return { url: `${this.url}/api${filled}${search && `?${search}`}`, init };
  }
}

interface Init {
  method: string;
  headers: Record<string, string>;
  body?: unknown;
}

/** A `FormData`, as for an upload: `fetch` writes its type and boundary. */
function isForm(body: unknown): boolean {
  return Object.prototype.toString.call(body) === "[object FormData]";
}

function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

function refusal(answer: ResponseLike, content: unknown): ApiError {
  const { code, detail, errors } = (content ?? {}) as { code?: string; detail?: string; errors?: never[] };
  const seconds = Number.parseFloat(answer.headers.get("Retry-After") ?? "");
  return new ApiError(
    answer.status,
    code ?? "http_error",
    detail ?? `The server answered ${answer.status}`,
    Number.isFinite(seconds) ? seconds : null,
    errors,
  );
}

declare function encodeURIComponent(text: string): string;
