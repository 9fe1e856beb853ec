/** The REST requests of one user, and the tokens that they need. */

/** A refusal by the server, or none at all (`no_network`). */
export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

async function request(method, path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  let response;
  try {
    response = await fetch(`/api${path}`, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(15000) });
  } catch {
    throw new ApiError(0, "no_network", "The server does not answer. Is it running, and is this machine online?");
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.code ?? "error", answer?.detail ?? `HTTP ${response.status}`);
  return { status: response.status, answer };
}

/** Seconds before the end of an access token at which it is renewed. */
const RENEW_BEFORE = 60;

export class Account {
  #renewing;

  constructor({ username, password, access, refresh }, changed) {
    Object.assign(this, { username, password, access, refresh, changed });
  }

  /** Signs in; registers a name that does not exist. */
  static async open(username, password, changed) {
    try {
      const { answer } = await request("POST", "/login", { username, password });
      return new Account({ ...answer, username: answer.user.username, password }, changed);
    } catch (error) {
      if (error.code !== "invalid_credentials") throw error;
    }
    try {
      const { answer } = await request("POST", "/register", { username, password });
      return new Account({ ...answer, password }, changed);
    } catch (error) {
      if (error.code !== "username_taken") throw error;
      throw new ApiError(401, "invalid_credentials", "This name exists, and its password is another one.");
    }
  }

  /** When the access token ends, in milliseconds. */
  get expires() {
    try {
      return JSON.parse(atob(this.access.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp * 1000;
    } catch {
      return 0;
    }
  }

  /** An access token that is still good for a while. */
  async token() {
    if (this.expires - Date.now() < RENEW_BEFORE * 1000) await this.renew();
    return this.access;
  }

  /** Gets new tokens; calls at the same time share one request, as the old refresh token is spent. */
  renew() {
    this.#renewing ??= request("POST", "/token/refresh", { refresh: this.refresh })
      .then(({ answer }) => Object.assign(this, answer))
      .finally(() => (this.#renewing = undefined))
      .then(() => this.changed());
    return this.#renewing;
  }

  async call(method, path, body) {
    return (await request(method, path, body, await this.token())).answer;
  }

  /** Ends the session by the refresh token alone, as another tab of this user does. */
  async endElsewhere() {
    await request("POST", "/logout", { refresh: this.refresh });
  }
}
