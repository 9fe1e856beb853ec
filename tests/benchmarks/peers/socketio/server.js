// A chat of one event on Socket.IO: node server.js PORT [DATABASE]. With a database every message is
// inserted, as durable as the product's own, before anyone hears of it.
"use strict";

const { Server } = require("socket.io");

const [port, file] = process.argv.slice(2);

function opened(path) {
  const Database = require("better-sqlite3");
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(
    "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, room TEXT, content TEXT, timestamp TEXT)"
  );
  return database;
}

const database = file ? opened(file) : null;
const insert = database
  ? database.prepare("INSERT INTO message (room, content, timestamp) VALUES (?, ?, ?)")
  : null;

const io = new Server(Number(port), {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
});

io.on("connection", (socket) => {
  const room = socket.handshake.query.room;
  socket.join(room);
  socket.on("message", (text, done) => {
    if (insert) insert.run(room, text, new Date().toISOString());
    io.to(room).emit("message", { message: text });
    if (done) done();
  });
});
