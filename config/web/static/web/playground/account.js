/** One user's REST requests, and the tokens that they need. */

async function request(method, path, body, token) {
	const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
	const init = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(15000) };
	const response = await fetch(`/api${path}`, init).catch(() => {
		const detail = "The server does not answer. Does it run, and is this machine online?";
		throw Object.assign(new Error(detail), { status: 0 });
	});
	const answer = await response.json().catch(() => ({}));
	if (response.ok) return answer;
	throw Object.assign(new Error(answer.detail ?? `HTTP ${response.status}`), { status: response.status, code: answer.code });
}

export class Account {
	#renewing;

	constructor({ username, password, access, refresh }) {
		Object.assign(this, { username, password, access, refresh });
	}

	/** `path` is /login or /register. */
	static async open(path, username, password) {
		const { user, ...answer } = await request("POST", path, { username, password });
		const account = new Account({ ...answer, ...user });
		// Not enumerable: the page stores accounts, and a typed password stays in memory.
		return Object.defineProperty(account, "password", { value: password, enumerable: false });
	}

	/** When the access token ends, in milliseconds. */
	get expires() {
		return JSON.parse(atob(this.access.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp * 1000;
	}

	/** Returns an access token that is good for another minute. */
	async token() {
		if (this.expires - Date.now() < 60_000) await this.renew();
		return this.access;
	}

	/** Gets new tokens. Callers at the same time share a request: a refresh token is good for one. */
	renew() {
		this.#renewing ??= request("POST", "/token/refresh", { refresh: this.refresh })
			.then((pair) => Object.assign(this, pair))
			.finally(() => (this.#renewing = undefined));
		return this.#renewing;
	}

	async call(method, path, body) {
		return request(method, path, body, await this.token());
	}

	/** Ends the session by the refresh token alone, as another tab of this user does. */
	logOut() {
		return request("POST", "/logout", { refresh: this.refresh });
	}
}
