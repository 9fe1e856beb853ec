/** One WebSocket, with nothing added: frames here may be wrong on purpose. */

const FOLDERS = { public: "chat/", group: "chat/group/", private: "private/", events: "events/" };

/** The path of a room's socket; with `since` the server replays what came after that version. */
export function socketPath({ kind, name }, since) {
	const path = `/ws/${FOLDERS[kind]}`;
	if (kind === "events") return path;
	return `${path}${encodeURIComponent(name)}/${since === undefined ? "" : `?since=${since}`}`;
}

export class Connection {
	#socket;

	/** The token goes into the subprotocol: a browser sends no header, and URLs end up in logs. */
	constructor(path, token, { frame, closed }) {
		this.#socket = new WebSocket(location.origin.replace(/^http/, "ws") + path, ["bearer", token]);
		this.#socket.onmessage = ({ data }) => frame(data);
		this.#socket.onclose = ({ code, reason }) => closed(code, reason);
	}

	send(text) {
		this.#socket.send(text);
	}

	/** Ends it, and reports nothing more: on a dead network the answer takes half a minute. */
	close() {
		const socket = this.#socket;
		socket.onmessage = socket.onclose = null;
		// Closing before it is open would be an error in the browser's console.
		if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close(1000);
		else socket.close(1000);
	}
}
