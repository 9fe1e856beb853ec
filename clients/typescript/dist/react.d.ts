import type { RoomSnapshot, RoomView } from "./room_view.js";
/** What the hook needs of a room: a `Room` and an `EventsRoom` have it. */
type Openable = RoomView<any> & {
    close(): void;
};
/**
 * Opens a room while a component shows it, and renders again when it changes.
 *
 * Several components may show the same room: it closes a second after the last one is gone. So the
 * double mount of StrictMode, and moving from one page to the next, keep the connection.
 */
export declare function useRoom(room: Openable): RoomSnapshot;
export {};
