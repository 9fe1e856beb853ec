/** One WebSocket, with nothing between the page and the wire: frames here may be wrong on purpose. */

const PATHS = {
  public: (name) => `/ws/chat/${encodeURIComponent(name)}/`,
  group: (name) => `/ws/chat/group/${encodeURIComponent(name)}/`,
  private: (name) => `/ws/private/${encodeURIComponent(name)}/`,
  events: () => "/ws/events/",
};

/** The path of a room's socket; with `since` the server replays what came after that version. */
export const socketPath = ({ kind, name }, since) =>
  PATHS[kind](name) + (since === undefined || kind === "events" ? "" : `?since=${since}`);

export class Connection {
  #socket;

  /** The token goes into the subprotocol: a browser sends no header, and URLs end up in logs. */
  constructor(path, token, { frame, closed }) {
    const url = location.origin.replace(/^http/, "ws") + path;
    this.#socket = new WebSocket(url, ["bearer", token]);
    this.#socket.onmessage = ({ data }) => frame(data);
    this.#socket.onclose = ({ code, reason }) => closed(code, reason);
  }

  get open() {
    return this.#socket.readyState === WebSocket.OPEN;
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
