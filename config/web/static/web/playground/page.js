/** The page: two users, the ladder between them, and the experiments. */

import { html, render, Component } from "../vendor/htm-preact-standalone.js";
import { Account } from "./account.js";
import { newId } from "./composer.js";
import { Experiments } from "./experiments.js";
import { Ladder } from "./ladder.js";
import { Panel } from "./panel.js";
import { Participant } from "./participant.js";
import { Protocol } from "./protocol.js";

/** Where the start page leaves two users and a group, and this page keeps them for a reload. */
const STORE = "chat-playground";
/** Milliseconds between two renderings: a flood is hundreds of frames in a moment. */
const RENDER_INTERVAL = 30;

class Page extends Component {
	state = { offline: !navigator.onLine };
	#scheduled = false;

	async componentDidMount() {
		for (const event of ["online", "offline"]) addEventListener(event, () => this.setState({ offline: !navigator.onLine }));
		const protocol = await Protocol.load(this.changed).catch(({ message }) =>
			this.setState({ error: `/api/asyncapi.json did not load: ${message}. Reload this page when the server answers.` }),
		);
		if (!protocol) return;
		this.users = ["left", "right"].map((side) => new Participant(side, protocol, this.changed));
		this.setState({ protocol });
		this.#restore();
	}

	changed = () => {
		if (this.#scheduled) return;
		this.#scheduled = true;
		setTimeout(() => {
			this.#scheduled = false;
			this.#keep();
			this.forceUpdate();
		}, RENDER_INTERVAL);
	};

	/** Refresh tokens change with each use, so this runs at each change. */
	#keep() {
		const users = this.users.map(({ account, room, roomId }) => account && { ...account, room: { ...room, id: roomId } });
		sessionStorage.setItem(STORE, JSON.stringify({ users }));
	}

	#restore() {
		const { users = [], room } = JSON.parse(sessionStorage.getItem(STORE)) ?? {};
		this.users.forEach((user, i) => {
			if (!users[i]) return;
			user.adopt(new Account(users[i]));
			const { id, kind, name } = users[i].room ?? room ?? {};
			if (id) user.connect({ kind, name });
		});
	}

	/** Makes two users and their group, for a visitor who only wants to look. */
	#make = async () => {
		if (this.state.making) return;
		this.setState({ making: true, error: "" });
		const [left, right] = this.users;
		const tail = newId().slice(0, 4);
		const group = { kind: "group", name: `group-${tail}` };
		try {
			await left.signIn("/register", `ila-${tail}`, newId());
			await right.signIn("/register", `kaushal-${tail}`, newId());
			await left.enter(group, right);
			await right.enter(group, left);
		} catch ({ message }) {
			this.setState({ error: message });
		}
		this.setState({ making: false });
	};

	render(_, { protocol, error, offline, making }) {
		const problems = [
			offline && "This machine is offline. The sockets come back by themselves with the network.",
			protocol?.newer && `The server is version ${protocol.newer} now, and this page is of ${protocol.version}: reload it.`,
			error,
		];
		const alerts = problems.map((problem) => problem && html`<p class="notice notice-bad" role="alert">${problem}</p>`);
		if (!protocol) return error ? alerts : html`<p class="muted" role="status">Loading …</p>`;
		const [left, right] = this.users;
		const { room, roomId } = left.roomId ? left : right;
		return html`${alerts}
			${!left.account && !right.account && html`<p class="notice row">
				<button class="button button-primary" aria-disabled=${Boolean(making)} onClick=${this.#make}>Create two users and a group</button>
				<span class="muted small">or sign in below</span>
			</p>`}
			<${Experiments} left=${left} right=${right} />
			<div class="columns">
				<${Panel} user=${left} other=${right} changed=${this.changed} />
				<${Ladder} users=${this.users} room=${{ id: roomId, name: roomId && room.name }} />
				<${Panel} user=${right} other=${left} changed=${this.changed} />
			</div>`;
	}
}

const root = document.getElementById("playground");
root.replaceChildren();
render(html`<${Page} />`, root);
