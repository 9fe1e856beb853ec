// The smallest bodies that the server takes, and answers whose members are all there. Compiled, never run.
import type { components, operations } from "./generated/schema";

type Schemas = components["schemas"];
type Body<Name extends keyof operations> = operations[Name] extends {
  requestBody?: { content: { "application/json": infer Content } };
}
  ? Content
  : never;

export const register: Body<"register"> = { username: "ila", password: "password123" };
export const registerByEmail: Body<"register"> = { email: "ila@example.com", password: "password123" };
export const login: Body<"login"> = { username: "ila", password: "password123" };
export const refresh: Body<"refreshTokens"> = { refresh: "…" };
export const verify: Body<"verifyToken"> = { token: "…" };
export const logout: Body<"logout"> = {};
export const profile: Body<"changeProfile"> = {};
export const password: Body<"changePassword"> = { old_password: "…", new_password: "…" };
export const room: Body<"createRoom"> = { name: "sports" };
export const group: Body<"createRoomWithMembers"> = { name: "friends", members: [] };
export const change: Body<"changeRoom"> = { topic: "Where do we go on Saturday?" };
export const people: Body<"addMembers"> = { members: ["kaushal", 3] };
export const role: Body<"changeRole"> = { role: "admin" };
export const message: Body<"sendMessage"> = { content: "Hey everyone!" };
export const messageToRoom: Body<"sendToRoom"> = { room: 1, content: "Hey everyone!" };
export const edit: Body<"editMessage"> = { content: "Hello everyone!" };
export const read: Body<"markRead"> = { seq: 12 };

// Each fails to compile when a member is optional.
type Whole<Name extends keyof Schemas> = Schemas[Name] extends Required<Schemas[Name]> ? true : never;
export const whole: [
  Whole<"RegisterOut">,
  Whole<"LoginOut">,
  Whole<"TokensOut">,
  Whole<"UserOut">,
  Whole<"MeOut">,
  Whole<"SessionOut">,
  Whole<"PrivateRoomOut">,
  Whole<"RoomWithMembersOut">,
  Whole<"MemberOut">,
  Whole<"AddedOut">,
  Whole<"RemovedOut">,
  Whole<"MessageOut">,
  Whole<"ReactionOut">,
  Whole<"ReadOut">,
] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true];

type Answer<Name extends keyof operations, Status> = operations[Name] extends {
  responses: Record<Status & number, { content: { "application/json": infer Content } }>;
}
  ? Content
  : never;

export function unread(rooms: Answer<"listMyRooms", 200>): number {
  return rooms.reduce((sum, one) => sum + one.unread, 0);
}

export function mayBeRepeated(error: Schemas["ErrorOut"]): boolean {
  return error.code === "busy" || error.code === "rate_limited";
}
