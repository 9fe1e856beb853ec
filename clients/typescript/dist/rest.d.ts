import type { paths } from "./generated/openapi.js";
import { type Fetch } from "./platform.js";
import type { Tokens } from "./tokens.js";
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
type Operation<M extends Method, P extends keyof paths> = Extract<paths[P][Lowercase<M> & keyof paths[P]], {
    responses: unknown;
}>;
/** The paths that have a method, without the prefix `/api`. */
export type PathOf<M extends Method> = {
    [P in keyof paths]: [Operation<M, P>] extends [never] ? never : P extends `/api${infer Rest}` ? Rest : never;
}[keyof paths];
type Full<P extends string> = `/api${P}` & keyof paths;
type Params<O> = O extends {
    parameters: {
        path: infer T extends object;
    };
} ? {
    params: T;
} : {
    params?: never;
};
type Query<O> = O extends {
    parameters: {
        query?: infer T;
    };
} ? {
    query?: NonNullable<T>;
} : {
    query?: never;
};
type Body<O> = O extends {
    requestBody: {
        content: {
            "application/json": infer T;
        };
    };
} ? {
    body: T;
} : O extends {
    requestBody?: {
        content: {
            "application/json": infer T;
        };
    };
} ? {
    body?: T;
} : {
    body?: unknown;
};
type Content<R> = R extends {
    content: {
        "application/json": infer T;
    };
} ? T : undefined;
type Success<R> = {
    [S in keyof R & (200 | 201 | 204)]: Content<R[S]>;
}[keyof R & (200 | 201 | 204)];
export type RestOptions<M extends Method, P extends PathOf<M>> = Params<Operation<M, Full<P>>> & Query<Operation<M, Full<P>>> & Body<Operation<M, Full<P>>>;
export type RestAnswer<M extends Method, P extends PathOf<M>> = Operation<M, Full<P>> extends {
    responses: infer R;
} ? Success<R> : never;
type Arguments<T> = object extends T ? [options?: T] : [options: T];
export type Call = <M extends Method, P extends PathOf<M>>(method: M, path: P, ...options: Arguments<RestOptions<M, P>>) => Promise<RestAnswer<M, P>>;
/** Returns a function that calls the REST API, and renews the sign-in when the server asks for it. */
export declare function createRest(address: string, fetch: Fetch, tokens: Tokens): Call;
export {};
