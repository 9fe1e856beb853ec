// Compiled, never run: what users of the package write.
import { ApiError, ChatClient, type ServerFrame } from "../../dist/index.js";
import { useRoom } from "../../dist/react.js";
import { indexedDbStorage } from "../../dist/storage/indexed_db.js";

const chat = new ChatClient({ url: "https://chat.example.com", storage: indexedDbStorage() });

/** Does not compile when a frame is missing: then `frame` is not `never` at the end. */
export function describe(frame: ServerFrame): string {
  switch (frame.type) {
    case "ready":
      return "rooms" in frame ? `${frame.rooms.length} rooms` : frame.room.kind;
    case "message":
    case "edit":
    case "delete":
    case "reaction":
    case "pin":
      return frame.message;
    case "ack":
      return frame.duplicate ? "again" : `${frame.seq}`;
    case "typing":
      return `${frame.username} ${frame.typing}`;
    case "join":
    case "exit":
      return frame.username;
    case "read":
    case "delivered":
      return `${frame.username} ${frame.seq}`;
    case "room":
      return frame.room.title;
    case "resumed":
      return `${frame.from} to ${frame.to}`;
    case "pong":
      return "";
    case "error":
      return `${frame.code} ${frame.retry_after ?? 0}`;
    case "followed":
      return `${frame.room_id} ${frame.online_count}`;
    case "unfollowed":
      return `${frame.room_id}`;
    case "room_added":
      return frame.room.role;
    case "room_removed":
      return frame.reason;
    case "marks":
      return `${frame.unread}`;
    case "profile":
      return frame.user.display_name;
    case "presence":
      return `${frame.username} ${frame.last_seen ?? ""}`;
    default: {
      const nothing: never = frame;
      return nothing;
    }
  }
}

export async function rest(): Promise<void> {
  const rooms = await chat.rest("GET", "/my-rooms", { query: { limit: 10 } });
  rooms.map(({ unread, role }) => unread + role.length);
  const room = await chat.rest("POST", "/rooms", { body: { name: "sports" } });
  const members = await chat.rest("GET", "/rooms/{room_id}/members", { params: { room_id: room.id } });
  members[0]!.online satisfies boolean;
  const nothing: undefined = await chat.rest("DELETE", "/sessions/{session_id}", { params: { session_id: 3 } });
  // @ts-expect-error - there is no such path
  await chat.rest("GET", "/nothing");
  // @ts-expect-error - the path needs a room
  await chat.rest("GET", "/rooms/{room_id}");
  // @ts-expect-error - this path has no PUT
  await chat.rest("PUT", "/my-rooms");
  // @ts-expect-error - a name is needed
  await chat.rest("POST", "/rooms", { body: { title: "Sports" } });
  if (nothing) throw new ApiError(0, "network", "");
}

export function events(): void {
  const room = chat.room("friends");
  const stop = room.on("close", ({ code, reconnects }) => code + Number(reconnects));
  room.on("messages", (messages) => messages.map(({ state, content }) => state + content));
  // @ts-expect-error - there is no such event
  room.on("nothing", () => {});
  stop();
  useRoom(room).messages.length;
}
