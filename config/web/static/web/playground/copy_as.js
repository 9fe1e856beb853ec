/** Writes frames as programs: curl, Python, TypeScript, an .http file. Tokens are never in them. */

import { html, useState } from "../vendor/htm-preact-standalone.js";
import { socketPath } from "./connection.js";

const bash = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const js = JSON.stringify;

/** A Python literal of a JSON value. */
function py(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(py).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${js(k)}: ${py(v)}`).join(", ")}}`;
  return js(value);
}

/** What REST has for a frame: method, path, body. Not every frame has it. */
function rest(frame, roomId) {
  const room = frame.room_id ?? roomId;
  const { type = "message", message, content = message, client_id, reply_to, attachments, seq } = frame;
  if (!room || frame.receiver || "typing" in frame) return undefined;
  if (type === "message") return ["POST", `/api/rooms/${room}/messages`, { content, client_id, reply_to, attachments }];
  if (type === "read" || type === "delivered") return ["POST", `/api/rooms/${room}/${type}`, { seq }];
  return undefined;
}

const upgrade = (url) => `curl --http1.1 --no-buffer --max-time 10 \\
  -H "Authorization: Bearer $TOKEN" \\
  -H 'Connection: Upgrade' -H 'Upgrade: websocket' \\
  -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \\
  ${bash(url.replace(/^ws/, "http"))}`;

function curl({ origin, url, roomId }, frames) {
  const parts = frames.map(({ text, frame }) => {
    const [method, path, body] = (frame && rest(frame, roomId)) ?? [];
    if (!method) return `# Only a socket takes this frame, and curl sends none:\n#   ${text.replaceAll("\n", "\n#   ")}`;
    return `curl -X ${method} ${bash(origin + path)} \\
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d ${bash(js(body))}`;
  });
  const silent = parts.every((part) => part.startsWith("#"));
  if (silent) parts.push(`# Listens for ten seconds:\n${upgrade(url)}`);
  return `${parts.join("\n\n")}\n`;
}

const python = ({ url }, frames) => `# pip install websockets; export TOKEN=<access token of POST /api/login>
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

const typescript = ({ url }, frames) => `// In a browser, Deno, Bun or Node 22. TOKEN: the access token of POST /api/login
const socket = new WebSocket(${js(url)}, ["bearer", TOKEN]);

socket.addEventListener("message", ({ data }) => {
  const frame = JSON.parse(data);
  console.log(frame);
${frames.length ? `  if (frame.type !== "ready") return;\n${frames.map(({ text, frame }) => `  socket.send(${frame ? `JSON.stringify(${js(frame)})` : js(text)});\n`).join("")}` : ""}});
socket.addEventListener("close", ({ code, reason }) => console.log(code, reason));
`;

const http = ({ url }, frames) => `@token = {{$processEnv TOKEN}}

### Socket
WEBSOCKET ${url}
Authorization: Bearer {{token}}
${frames.map(({ text, frame }) => `\n${frame ? JSON.stringify(frame, null, 2) : text}\n`).join("\n===\n")}`;

export const FORMATS = { curl, Python: python, TypeScript: typescript, ".http": http };

/** Returns entries of a log as a program. A received frame becomes one that receives it again. */
export function copyAs(format, participant, entries, origin = location.origin) {
  const { room, roomId } = participant;
  const frames = entries.filter(({ direction }) => direction === "sent");
  const [only] = entries;
  const since = entries.length === 1 && only.direction === "received" ? only.frame?.version - 1 : undefined;
  const url = origin.replace(/^http/, "ws") + socketPath(room, since >= 0 && only.frame.type !== "ready" ? since : undefined);
  return FORMATS[format]({ origin, url, roomId }, frames);
}

/** Copies; on a page without https the clipboard API is missing, and an old command serves. */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function CopyMenu({ label, participant, entries, whole }) {
  const [format, setFormat] = useState("curl");
  const [done, setDone] = useState("");
  const act = async () => {
    if (format === "JSONL") save(`frames-${participant.label}.jsonl`, participant.log.jsonl(participant.label));
    else await toClipboard(copyAs(format, participant, entries));
    setDone(format === "JSONL" ? "Saved" : "Copied");
    setTimeout(() => setDone(""), 3000);
  };
  return html`<span class="copy row">
    <select class="small" aria-label=${`${label} of ${participant.label} as`} value=${format} onChange=${(e) => setFormat(e.target.value)}>
      ${[...Object.keys(FORMATS), ...(whole ? ["JSONL"] : [])].map((name) => html`<option>${name}</option>`)}
    </select>
    <button type="button" class="button button-small" disabled=${!entries.length} onClick=${act}>${format === "JSONL" ? "Save log" : label}</button>
    <span role="status" class="small muted">${done}</span>
  </span>`;
}
