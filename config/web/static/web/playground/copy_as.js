/** Writes frames as programs: curl, Python, TypeScript, an .http file. No token is ever in them. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { socketPath } from "./connection.js";

const js = JSON.stringify;
const sh = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A Python literal of a JSON value. */
function py(value) {
	if (typeof value === "boolean") return value ? "True" : "False";
	if (Array.isArray(value)) return `[${value.map(py).join(", ")}]`;
	if (value && typeof value === "object") {
		return `{${Object.entries(value).map(([name, member]) => `${js(name)}: ${py(member)}`).join(", ")}}`;
	}
	return value === null ? "None" : js(value);
}

/** What REST has for a frame, as path and body; not every frame has it. */
function rest(frame, roomId) {
	const { type = "message", room_id = roomId, content = frame?.message, client_id, reply_to, attachments, seq } = frame ?? {};
	if (!frame || frame.receiver || !room_id) return undefined;
	if (type === "message" && content !== undefined) return [`${room_id}/messages`, { content, client_id, reply_to, attachments }];
	return ["read", "delivered"].includes(type) ? [`${room_id}/${type}`, { seq }] : undefined;
}

const AUTH = `-H "Authorization: Bearer $TOKEN"`;

function curl({ origin, path, roomId }, frames) {
	const parts = frames.map(({ text, frame }) => {
		const found = rest(frame, roomId);
		if (!found) return `# Only a socket takes this frame, and curl sends none: ${text.replaceAll("\n", " ")}`;
		return `curl ${origin}/api/rooms/${found[0]} \\\n  ${AUTH} -H 'Content-Type: application/json' \\\n  -d ${sh(js(found[1]))}`;
	});
	if (parts.every((part) => part.startsWith("#"))) {
		parts.push(`# Listens for ten seconds
curl --http1.1 --no-buffer --max-time 10 ${sh(origin + path)} \\
  ${AUTH} -H 'Connection: Upgrade' -H 'Upgrade: websocket' \\
  -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='`);
	}
	return `${parts.join("\n\n")}\n`;
}

const python = ({ url }, frames) => `# pip install websockets; export TOKEN=<access token>
import json
import os

from websockets.sync.client import connect

headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
with connect(${js(url)}, additional_headers=headers) as socket:
    print(socket.recv())  # ready
${frames.map(({ text, frame }) => `    socket.send(${frame ? `json.dumps(${py(frame)})` : js(text)})\n`).join("")}    try:
        while True:
            print(socket.recv(timeout=2))
    except TimeoutError:
        pass
`;

const typescript = ({ url }, frames) => `// For browsers, Deno, Bun and Node 22; TOKEN is an access token
const socket = new WebSocket(${js(url)}, ["bearer", TOKEN]);
socket.onclose = ({ code, reason }) => console.log(code, reason);
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  console.log(frame);
  if (frame.type !== "ready") return;
${frames.map(({ text, frame }) => `  socket.send(${frame ? `JSON.stringify(${js(frame)})` : js(text)});\n`).join("")}};
`;

const http = ({ url }, frames) => `@token = {{$processEnv TOKEN}}

### Socket
WEBSOCKET ${url}
Authorization: Bearer {{token}}
${frames.map(({ text, frame }) => `\n${frame ? js(frame, null, 2) : text}\n`).join("\n===\n")}`;

const FORMATS = { curl, Python: python, TypeScript: typescript, ".http": http };

/** Returns entries of a log as a program. A received frame becomes one that receives it again. */
export function copyAs(format, { room, roomId }, entries) {
	const [{ direction, frame }] = entries;
	const again = entries.length === 1 && direction === "received" && frame?.id;
	const path = socketPath(room, again ? frame.version - 1 : undefined);
	const { origin } = location;
	const frames = entries.filter((entry) => entry.direction === "sent");
	return FORMATS[format]({ origin, path, url: origin.replace(/^http/, "ws") + path, roomId }, frames);
}

/** Copies. A page without https lacks the clipboard API; an old command serves there. */
async function toClipboard(text) {
	if (navigator.clipboard) return navigator.clipboard.writeText(text);
	const area = document.body.appendChild(document.createElement("textarea"));
	area.value = text;
	area.select();
	document.execCommand("copy");
	area.remove();
}

function save(name, text) {
	const href = URL.createObjectURL(new Blob([text]));
	Object.assign(document.createElement("a"), { href, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(href), 1000);
}

export function CopyMenu({ label, user, entries, whole }) {
	const [format, setFormat] = useState("curl");
	const [done, setDone] = useState("");
	const names = [...Object.keys(FORMATS), ...(whole ? ["JSONL"] : [])];
	const act = async () => {
		if (format === "JSONL") save(`frames-${user.label}.jsonl`, user.log.jsonl(user.label));
		else await toClipboard(copyAs(format, user, entries));
		setDone(format === "JSONL" ? "Saved" : "Copied");
		setTimeout(() => setDone(""), 3000);
	};
	return html`<span class="copy row">
		<select class="small" aria-label="${label} of ${user.label} as" value=${format} onChange=${({ target }) => setFormat(target.value)}>
			${names.map((name) => html`<option value=${name}>${name}</option>`)}
		</select>
		<button type="button" class="button button-small" disabled=${!entries.length} onClick=${act}>${done || (format === "JSONL" ? "Save log" : label)}</button>
		<span class="visually-hidden" role="status">${done}</span>
	</span>`;
}
