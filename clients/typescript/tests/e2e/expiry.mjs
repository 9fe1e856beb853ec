/** Talks over several lifetimes of an access token, and prints whether the connection was lost. */
import { setTimeout as sleep } from "node:timers/promises";
import { ChatClient } from "../../dist/index.js";

const chat = new ChatClient({ url: process.env.SERVER, pingInterval: 0.5 });
await chat.register("ila", "password123");
const room = chat.room("friends");
const closes = [];
room.on("close", ({ code }) => closes.push(code));
await room.open();
for (let number = 0; number < 10; number++) {
  room.send(`${number}`);
  await sleep(1500);
}
await room.flush();
const states = [...new Set(room.messages.map(({ state }) => state))];
process.stdout.write(JSON.stringify({ closes, messages: room.messages.length, states }), () => process.exit(0));
