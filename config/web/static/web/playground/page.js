/** The page: two users, the ladder between them, and the experiments. */

import { html, render, Component } from "../vendor/htm-preact-standalone.js";
import { Account } from "./account.js";
import { newId } from "./composer.js";
import { Experiments } from "./experiments.js";
import { Ladder } from "./ladder.js";
import { Panel } from "./panel.js";
import { Participant } from "./participant.js";
import { Protocol } from "./protocol.js";

/** Where the start page leaves two users and a group; this page keeps their tokens there. */
const STORE = "chat-playground";

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

/** Keeps who is signed in for a reload. Refresh tokens change, so this runs after each change. */
function keep(participants) {
  const users = participants.map(({ account }) => account && { username: account.username, password: account.password, access: account.access, refresh: account.refresh });
  const { kind, id, name } = participants[0].room;
  sessionStorage.setItem(STORE, JSON.stringify({ users, room: { kind, id, name } }));
}

class Page extends Component {
  state = { error: "", offline: !navigator.onLine, making: false };
  #scheduled = false;

  async componentDidMount() {
    addEventListener("online", () => this.setState({ offline: false }));
    addEventListener("offline", () => this.setState({ offline: true }));
    try {
      this.protocol = await Protocol.load(this.changed);
    } catch (error) {
      this.setState({ error: `The AsyncAPI document did not load: ${error.message}. Reload the page when the server answers.` });
      return;
    }
    this.participants = ["left", "right"].map((side) => new Participant({ side, protocol: this.protocol, changed: this.changed }));
    this.setState({ ready: true });
    await this.#restore();
  }

  /** Renders at most once in 30 ms: a flood is hundreds of frames in a moment. */
  changed = () => {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      keep(this.participants);
      this.forceUpdate();
    }, 30);
  };

  async #restore() {
    const { users = [], room } = stored();
    await Promise.all(
      this.participants.map(async (participant, i) => {
        if (!users[i]) return;
        participant.adopt(new Account(users[i], this.changed));
        if (room) participant.room = { kind: room.kind, name: room.name };
        if (room?.id !== undefined || room?.kind === "events") await participant.connect();
      }),
    );
  }

  /** Registers two users and a group of them, for a visitor who only wants to look. */
  #make = async () => {
    if (this.state.making) return;
    this.setState({ making: true, error: "" });
    const [left, right] = this.participants;
    const tail = newId().slice(0, 4);
    try {
      await left.signIn(`ila-${tail}`, newId());
      await right.signIn(`kaushal-${tail}`, newId());
      await left.enter({ kind: "group", name: `group-${tail}` }, right);
      await right.enter({ kind: "group", name: `group-${tail}` }, left);
    } catch (error) {
      this.setState({ error: error.message });
    }
    this.setState({ making: false });
  };

  render(_, { ready, error, offline, making }) {
    if (!ready) return html`<p class=${error ? "notice notice-bad" : "muted"} role="status">${error || "Loading the AsyncAPI document …"}</p>`;
    const [left, right] = this.participants;
    const { version, other } = this.protocol;
    const inRoom = [left, right].find(({ roomId }) => roomId !== undefined);
    return html`
      ${offline && html`<p class="notice notice-bad" role="alert">This machine is offline. Sockets reconnect by themselves when the network is back.</p>`}
      ${other && html`<p class="notice notice-warn" role="alert">The server is now version ${other}, and this page is of ${version}: reload it.</p>`}
      ${error && html`<p class="notice notice-bad" role="alert">${error}</p>`}
      ${!left.account && !right.account && html`<p class="notice row"><button class="button button-primary" aria-disabled=${making} onClick=${this.#make}>Create two users and a group</button>
        <span class="muted small">or sign in below, with users that you have or new ones</span></p>`}
      <${Experiments} left=${left} right=${right} protocol=${this.protocol} />
      <div class="columns">
        <${Panel} participant=${left} other=${right} changed=${this.changed} />
        <${Ladder} participants=${[left, right]} room=${inRoom && { id: inRoom.roomId, name: inRoom.room.name }} />
        <${Panel} participant=${right} other=${left} changed=${this.changed} />
      </div>`;
  }
}

const root = document.getElementById("playground");
root.replaceChildren();
render(html`<${Page} />`, root);
