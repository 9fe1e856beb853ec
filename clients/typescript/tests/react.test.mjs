import assert from "node:assert/strict";
import test from "node:test";
import { JSDOM } from "jsdom";
import { FakeSocket, client, frame, message, settled } from "./fakes.mjs";

const { window } = new JSDOM("<div id=root></div>");
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });

const { act, createElement: h, StrictMode } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useRoom } = await import("../dist/react.js");

async function mounted(element) {
  const root = createRoot(document.getElementById("root"));
  await act(async () => {
    root.render(h(StrictMode, null, element));
    await settled();
  });
  return root;
}

function Chat({ room }) {
  const { messages, state } = useRoom(room);
  return h("ul", { "data-state": state }, messages.map(({ key, content, state }) => h("li", { key }, `${content} ${state}`)));
}

const shown = () => [...document.querySelectorAll("li")].map((item) => item.textContent);

test("a room shows its messages, with one connection in StrictMode", async () => {
  const { chat } = await client({ answers: () => [200, [message(1)]] });
  const room = chat.room("friends");
  const root = await mounted(h(Chat, { room }));
  assert.equal(FakeSocket.all.filter(({ closedWith }) => closedWith === null).length, 1);
  await act(async () => {
    FakeSocket.last.ready({ last_seq: 1 });
    await settled();
  });
  assert.deepEqual(shown(), ["text 1 sent"]);
  await act(async () => {
    room.send("Hi");
    await settled();
  });
  assert.deepEqual(shown(), ["text 1 sent", "Hi sending"]);
  const { client_id } = FakeSocket.last.sentOf("message")[0];
  await act(async () => FakeSocket.last.receive(frame(2, 2, { sender: 1, client_id, content: "Hi" })));
  assert.deepEqual(shown(), ["text 1 sent", "Hi sent"]);
  assert.equal(document.querySelector("ul").dataset.state, "open");
  await act(async () => root.unmount());
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(FakeSocket.last.closedWith, 1000);
  assert.equal(FakeSocket.all.length, 1);
});

test("two components share a connection, which stays while one is shown", async () => {
  const { chat } = await client();
  const room = chat.room("friends");
  const root = await mounted([h(Chat, { room, key: 1 }), h(Chat, { room, key: 2 })]);
  await act(async () => root.render(h(StrictMode, null, [h(Chat, { room, key: 1 })])));
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(FakeSocket.last.closedWith, null);
  await act(async () => root.unmount());
  chat.close();
});
