import type * as generated from "./generated/frames.js";
import type { components } from "./generated/openapi.js";
export type { Ack, ErrorFrame, EventsClientFrame, EventsReady, Followed, Marks, PresenceFrame, Ready, RoomAdded, RoomRemoved, RoomState, } from "./generated/frames.js";
type Schemas = components["schemas"];
export type RoomInfo = generated.RoomOut;
export type MyRoom = generated.MyRoomOut;
export type Message = Schemas["MessageOut"];
export type Member = Schemas["MemberOut"];
export type Attachment = Schemas["AttachmentOut"];
/** A message or a change of one: always its whole state. */
export type ChangeFrame = generated.MessageFrame | generated.EditFrame | generated.DeleteFrame | generated.ReactionFrame | generated.PinFrame;
/** What a server sends, on a socket of one room or of all. A newer one may send more. */
export type ServerFrame = generated.ServerFrame | generated.EventsServerFrame;
/** What this client sends. */
export type ClientFrame = generated.ClientFrame | generated.Follow | generated.Unfollow | generated.ResumeRooms;
