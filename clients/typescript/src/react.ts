import { useCallback, useEffect, useSyncExternalStore } from "react";
import type { RoomSnapshot, RoomView } from "./room_view.js";

/** What the hook needs of a room: a `Room` and an `EventsRoom` have it. */
type Openable = RoomView<any> & { close(): void };

const users = new WeakMap<Openable, number>();
const CLOSE_DELAY = 1000;

/**
 * Opens a room while a component shows it, and renders again when it changes.
 *
 * Several components may show the same room: it closes a second after the last one is gone. So the
 * double mount of StrictMode, and moving from one page to the next, keep the connection.
 */
export function useRoom(room: Openable): RoomSnapshot {
  useEffect(() => {
    users.set(room, (users.get(room) ?? 0) + 1);
    void room.open().catch(() => {});
    return () => {
      users.set(room, (users.get(room) ?? 1) - 1);
      setTimeout(() => {
        if (users.get(room) === 0) room.close();
      }, CLOSE_DELAY);
    };
  }, [room]);
  const subscribe = useCallback((notify: () => void) => room.on("change", notify), [room]);
  return useSyncExternalStore(
    subscribe,
    () => room.snapshot(),
    () => room.snapshot(),
  );
}

declare function setTimeout(run: () => void, milliseconds: number): unknown;
