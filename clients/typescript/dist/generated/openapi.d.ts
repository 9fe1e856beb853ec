export interface paths {
    "/api/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Register an account
         * @description The answer holds the first tokens, so no login has to follow. Send a username, an e-mail address
         *     or both; with an e-mail address alone the username is made from the part before the `@`.
         */
        post: operations["register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in with a username or an e-mail address
         * @description `username` may hold an e-mail address, too. Send `access` as `Authorization: Bearer <access>`
         *     with each request; exchange `refresh` for the next pair before `access` expires.
         */
        post: operations["login"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/token/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Exchange a refresh token for new tokens
         * @description A refresh token works once. Sent again within 30 seconds it answers the same pair, for two tabs
         *     or a lost answer; sent later it ends the session, because it may have been stolen.
         */
        post: operations["refreshTokens"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/token/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check an access token
         * @description The answer is 200 with `{}` when the token works now, else 401 with the reason.
         */
        post: operations["verifyToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log out and end the session
         * @description Send the access token as a header, or `refresh` in the body, or both. The session's tokens stop
         *     working at once and its open sockets close with 4401.
         */
        post: operations["logout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List users in the order of their names
         * @description `q` keeps those whose username or display name starts with it. The order is that of the name
         *     that matches, the username if both do.
         */
        get: operations["listUsers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read your own account
         * @description Other users see the username and the display name, never the e-mail address.
         */
        get: operations["readProfile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change your profile: display name, e-mail, quiet hours, sharing of receipts
         * @description Omitted members stay unchanged. In quiet hours no push is sent to you; null ends them.
         *     A new e-mail address needs the current `password`.
         */
        patch: operations["changeProfile"];
        trace?: never;
    };
    "/api/users/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Change your password
         * @description All other sessions of the account end at once; this one continues.
         */
        post: operations["changePassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your sessions, newest first
         * @description Each login is a session of its own. `current` marks the one that sent this request.
         */
        get: operations["listSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions/{session_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * End one of your sessions
         * @description Its tokens stop working at once and its open sockets close with 4401.
         */
        delete: operations["endSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List all public rooms and your own
         * @description `q` keeps those whose name or title starts with it, in the order of that name or title. Your own
         *     rooms with unread counts are at `/api/my-rooms`.
         */
        get: operations["listRooms"];
        put?: never;
        /**
         * Create a public or a group room
         * @description You become its owner. Everyone may read and join a public room; only members see a group.
         *     The name never changes, because it is part of URLs; the title may change.
         */
        post: operations["createRoom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/with-members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a group room with its members
         * @description You become its owner and need not name yourself. With an unknown name nothing is created.
         */
        post: operations["createRoomWithMembers"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read one room
         * @description A room that you may not see answers 404, like a room that does not exist.
         */
        get: operations["readRoom"];
        put?: never;
        post?: never;
        /**
         * Delete a room
         * @description For owners. Its messages can no longer be read, and open sockets close with 4404.
         */
        delete: operations["deleteRoom"];
        options?: never;
        head?: never;
        /**
         * Change the title or the topic of a room
         * @description For owners and admins. Omitted members stay unchanged.
         */
        patch: operations["changeRoom"];
        trace?: never;
    };
    "/api/rooms/{room_id}/join": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Join a public room
         * @description Members find the room in `/api/my-rooms`. Sending a message joins, too.
         */
        post: operations["joinRoom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/leave": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Leave a public or a group room
         * @description Your open sockets there close with 1000. The last owner of a group first makes another
         *     member owner, or deletes the room.
         */
        post: operations["leaveRoom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the members of a room in the order of joining
         * @description `online` is true for members with an open socket in this room or on `/ws/events/`.
         */
        get: operations["listMembers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/receipts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List how far the members of a room have read and received
         * @description For members of rooms of at most 100 members. Users who do not share receipts are not listed, and
         *     get an empty list.
         */
        get: operations["listReceipts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/add-members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Add members to a room
         * @description For owners and admins. A string is a username, an integer an id. With an unknown user no member
         *     is added. Adding a banned user lifts the ban.
         */
        post: operations["addMembers"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/members/{username}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove a member from a room
         * @description For owners and admins. No change of the room after `version` reaches the removed user. From a
         *     public room any user can be removed, member or not: the removal is also a ban.
         */
        delete: operations["removeMember"];
        options?: never;
        head?: never;
        /**
         * Change the role of a member
         * @description For owners. A group always keeps one owner.
         */
        patch: operations["changeRole"];
        trace?: never;
    };
    "/api/private/{username}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Open the private room with another user
         * @description The room is created if missing, so this is safe to repeat. Its messages are at
         *     `/api/rooms/{room_id}/messages`.
         */
        post: operations["openPrivateRoom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/my-rooms": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your rooms, latest activity first
         * @description Each has its unread count and its last message. A private room is listed from its first message
         *     on.
         */
        get: operations["listMyRooms"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/my-rooms/{room_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change the notifications of a room
         * @description Mute it for good or until a time, or choose which messages are pushed to your devices. Unread
         *     counts and sockets are not affected.
         */
        patch: operations["changeMyRoom"];
        trace?: never;
    };
    "/api/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the newest messages of all rooms that you may read
         * @description A page runs from old to new. It looks at 10,000 messages of the site at most, so it can be short
         *     or empty: as long as `Link` has a `prev`, there may be older ones. This is a feed; to
         *     synchronise, read each room.
         */
        get: operations["readFeed"];
        put?: never;
        /**
         * Send a message to a room named in the body
         * @description `room` is a name or an id. With a `client_id`, sending again is safe: it answers 200 with the
         *     message of the first time and creates no second one.
         */
        post: operations["sendToRoom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the messages of a room
         * @description A page runs from old to new. Without `before` and `after` it is the newest; `Link` leads to the
         *     pages around it.
         */
        get: operations["readMessages"];
        put?: never;
        /**
         * Send a message to a room
         * @description Sending joins a public room. With a `client_id`, sending again is safe: it answers 200 with the
         *     message of the first time and creates no second one.
         */
        post: operations["sendMessage"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/messages/{room_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the messages of a room, at its other path
         * @description The same as `GET /api/rooms/{room_id}/messages`.
         */
        get: operations["readMessagesAlias"];
        put?: never;
        /**
         * Send a message to a room, at its other path
         * @description The same as `POST /api/rooms/{room_id}/messages`.
         */
        post: operations["sendMessageAlias"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/history/{room_name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the messages of a room by its name
         * @description For public and group rooms. The same as `GET /api/rooms/{room_id}/messages`.
         */
        get: operations["readHistory"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/read": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Mark the messages of a room as read
         * @description Everything up to `seq` counts as read. The mark never moves back, and never past the last
         *     message. Sending a message moves it, too.
         */
        post: operations["markRead"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/delivered": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Mark the messages of a room as delivered
         * @description Your device has everything up to `seq`. The mark never moves back, never past the last message,
         *     and is never behind the read mark.
         */
        post: operations["markDelivered"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Search the messages of all rooms that you may read
         * @description The newest come first. Case and accents are ignored. `highlight` is HTML that is safe to insert:
         *     an excerpt of the text with the matches in `<mark>`. `Link` has a `next` only. A page reads a
         *     limited number of messages, so it can be short or empty: as long as `Link` has a `next`, there
         *     may be older ones.
         */
        get: operations["search"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/messages/{message_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Delete a message
         * @description For its author, and for owners and admins of the room. The message keeps its `seq`, with
         *     `deleted` and an empty text. Deleting it again changes nothing.
         */
        delete: operations["deleteMessage"];
        options?: never;
        head?: never;
        /**
         * Edit your own message
         * @description Only the text changes; `edited_at` is the time.
         */
        patch: operations["editMessage"];
        trace?: never;
    };
    "/api/rooms/{room_id}/messages/{message_id}/reactions/{emoji}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Add your reaction to a message
         * @description Adding the same one again changes nothing.
         */
        put: operations["addReaction"];
        post?: never;
        /**
         * Remove your reaction from a message
         * @description Removing one that is not there changes nothing.
         */
        delete: operations["removeReaction"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/messages/{message_id}/pin": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Add a message to the pins of its room
         * @description For owners and admins; in a private room for both users. Pinning it again changes nothing.
         */
        put: operations["pinMessage"];
        post?: never;
        /**
         * Remove a message from the pins of its room
         * @description For owners and admins; in a private room for both users. The message itself stays.
         */
        delete: operations["unpinMessage"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/rooms/{room_id}/pins": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the pinned messages of a room, newest pin first
         * @description A room has at most 100. `Link` has a `next` only.
         */
        get: operations["listPins"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/attachments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Upload a file, to attach it to a message
         * @description The type is detected from the bytes. Metadata of images, such as the place, is removed, and
         *     orientation applied. A file that no message takes is deleted after 24 hours.
         */
        post: operations["uploadAttachment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/attachments/{attachment_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read name, type and size of a file
         * @description For its uploader, and for users who can read the message that it is attached to.
         */
        get: operations["readAttachment"];
        put?: never;
        post?: never;
        /**
         * Delete a file that is attached to no message
         * @description For its uploader. Files of a message are deleted with it.
         */
        delete: operations["deleteAttachment"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/attachments/{attachment_id}/content": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Download a file
         * @description Sign in with the header, or with a media key as `?key=`. Pictures, audio and video are shown in
         *     place, every other type is a download. One `Range` is answered with 206.
         */
        get: operations["downloadAttachment"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/attachments/{attachment_id}/thumbnail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Download the thumbnail of an image
         * @description A WebP of at most 512 pixels a side; of an animation its first frame.
         */
        get: operations["downloadThumbnail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me/media-key": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get a key for the addresses of files
         * @description Append it as `?key=` to `url` and `thumbnail_url`, for an `<img>` that cannot send a header. It
         *     is valid for one hour, ends with its session, and opens nothing else.
         */
        post: operations["makeMediaKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/push/key": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the key for subscribing
         * @description Pass it to the browser's `pushManager.subscribe` as `applicationServerKey`.
         */
        get: operations["readPushKey"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/push/subscriptions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your push subscriptions, newest first
         * @description Those of all your sessions.
         */
        get: operations["listSubscriptions"];
        put?: never;
        /**
         * Add a push subscription
         * @description Send the JSON of the browser's `PushSubscription.toJSON()`. It belongs to your session and ends
         *     with it. For a known endpoint the answer is 200, and the subscription belongs to this session
         *     from now on.
         */
        post: operations["addSubscription"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/push/subscriptions/{subscription_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Delete a push subscription
         * @description Nothing is pushed to it from then on.
         */
        delete: operations["deleteSubscription"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * RegisterOut
         * @example {
         *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "id": 1,
         *       "username": "ila",
         *       "email": "ila@example.com"
         *     }
         */
        RegisterOut: {
            /** Access */
            access: string;
            /** Refresh */
            refresh: string;
            /** Id */
            id: number;
            /** Username */
            username: string;
            /** Email */
            email: string;
        };
        /**
         * RegisterIn
         * @example {
         *       "username": "ila",
         *       "email": "ila@example.com",
         *       "password": "password123"
         *     }
         */
        RegisterIn: {
            /** Username */
            username?: string | null;
            /** Email */
            email?: string | null;
            /** Password */
            password: string;
            /** Password2 */
            password2?: string | null;
        };
        /**
         * FieldErrorOut
         * @description One value that breaks a rule. `loc` is its path, `msg` is for people.
         */
        FieldErrorOut: {
            /** Loc */
            loc: string[];
            /** Msg */
            msg: string;
            /** Type */
            type: string;
        };
        /**
         * ErrorOut
         * @description The answer of every error.
         *
         *     `code` is stable, `detail` is for people; 422 adds `errors`.
         */
        ErrorOut: {
            /**
             * Code
             * @enum {string}
             */
            code: "attachment_in_use" | "bad_json" | "bad_request" | "busy" | "client_id_reused" | "email_taken" | "endpoint_in_use" | "forbidden" | "internal" | "invalid" | "invalid_credentials" | "last_owner" | "message_deleted" | "method_not_allowed" | "no_such_attachment" | "no_such_member" | "no_such_message" | "no_such_room" | "no_such_session" | "no_such_subscription" | "no_such_user" | "not_a_member" | "not_authenticated" | "not_found" | "push_off" | "quota_exceeded" | "range_not_satisfiable" | "rate_limited" | "request_timeout" | "room_exists" | "room_too_large" | "sender_mismatch" | "session_ended" | "token_expired" | "token_invalid" | "too_large" | "too_many_pins" | "too_many_reactions" | "too_many_subscriptions" | "unknown_users" | "unsupported_type" | "username_taken" | "wrong_password";
            /** Detail */
            detail: string;
            /** Errors */
            errors?: components["schemas"]["FieldErrorOut"][];
        };
        /**
         * AccountOut
         * @example {
         *       "id": 1,
         *       "username": "ila",
         *       "email": "ila@example.com"
         *     }
         */
        AccountOut: {
            /** Id */
            id: number;
            /** Username */
            username: string;
            /** Email */
            email: string;
        };
        /**
         * LoginOut
         * @example {
         *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "user": {
         *         "email": "ila@example.com",
         *         "id": 1,
         *         "username": "ila"
         *       }
         *     }
         */
        LoginOut: {
            /** Access */
            access: string;
            /** Refresh */
            refresh: string;
            user: components["schemas"]["AccountOut"];
        };
        /**
         * LoginIn
         * @example {
         *       "username": "ila",
         *       "password": "password123"
         *     }
         */
        LoginIn: {
            /** Username */
            username?: string | null;
            /** Email */
            email?: string | null;
            /** Password */
            password: string;
        };
        /**
         * TokensOut
         * @example {
         *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
         *     }
         */
        TokensOut: {
            /** Access */
            access: string;
            /** Refresh */
            refresh: string;
        };
        /**
         * RefreshIn
         * @example {
         *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
         *     }
         */
        RefreshIn: {
            /** Refresh */
            refresh: string;
        };
        /**
         * ValidOut
         * @description The empty answer for a valid token.
         * @example {}
         */
        ValidOut: Record<string, never>;
        /**
         * TokenIn
         * @example {
         *       "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
         *     }
         */
        TokenIn: {
            /** Token */
            token: string;
        };
        /**
         * LogoutIn
         * @example {
         *       "everywhere": false
         *     }
         */
        LogoutIn: {
            /** Refresh */
            refresh?: string | null;
            /**
             * Everywhere
             * @description Also end all other sessions of the account; false by default
             */
            everywhere?: boolean;
        };
        /**
         * UserOut
         * @example {
         *       "id": 2,
         *       "username": "kaushal",
         *       "display_name": "Kaushal"
         *     }
         */
        UserOut: {
            /** Id */
            id: number;
            /** Username */
            username: string;
            /** Display Name */
            display_name: string;
        };
        /**
         * MeOut
         * @example {
         *       "id": 1,
         *       "username": "ila",
         *       "display_name": "Ila P.",
         *       "email": "ila@example.com",
         *       "share_receipts": true,
         *       "quiet_hours": null
         *     }
         */
        MeOut: {
            /** Id */
            id: number;
            /** Username */
            username: string;
            /** Display Name */
            display_name: string;
            /** Email */
            email: string;
            /** Share Receipts */
            share_receipts: boolean;
            quiet_hours: components["schemas"]["QuietHoursOut"] | null;
        };
        /**
         * QuietHoursOut
         * @example {
         *       "start": "22:00",
         *       "end": "07:00",
         *       "timezone": "Europe/Berlin"
         *     }
         */
        QuietHoursOut: {
            /** Start */
            start: string;
            /** End */
            end: string;
            /** Timezone */
            timezone: string;
        };
        /**
         * ProfileIn
         * @example {
         *       "display_name": "Ila P."
         *     }
         */
        ProfileIn: {
            /** Display Name */
            display_name?: string | null;
            /** Email */
            email?: string | null;
            /** Password */
            password?: string | null;
            /** @description When no push is sent to you; null for never */
            quiet_hours?: components["schemas"]["QuietHoursIn"] | null;
            /**
             * Share Receipts
             * @description false: you neither share nor see receipts
             */
            share_receipts?: boolean | null;
        };
        /**
         * QuietHoursIn
         * @description From `start` to `end`, also over midnight.
         * @example {
         *       "start": "22:00",
         *       "end": "07:00",
         *       "timezone": "Europe/Berlin"
         *     }
         */
        QuietHoursIn: {
            /**
             * Start
             * @description As `22:00`
             */
            start: string;
            /**
             * End
             * @description As `22:00`
             */
            end: string;
            /** Timezone */
            timezone: string;
        };
        /**
         * PasswordIn
         * @example {
         *       "old_password": "password123",
         *       "new_password": "a longer sentence"
         *     }
         */
        PasswordIn: {
            /** Old Password */
            old_password: string;
            /** New Password */
            new_password: string;
        };
        /**
         * SessionOut
         * @example {
         *       "id": 1,
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "last_used_at": "2026-01-31T19:02:41.007Z",
         *       "user_agent": "Mozilla/5.0",
         *       "ip": "192.0.2.7",
         *       "current": true
         *     }
         */
        SessionOut: {
            /** Id */
            id: number;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Last Used At
             * Format: date-time
             */
            last_used_at: string;
            /** User Agent */
            user_agent: string;
            /** Ip */
            ip: string | null;
            /** Current */
            current: boolean;
        };
        /**
         * RoomOut
         * @description A room, for every user who may see it.
         *
         *     Only a private room has `members`, the pair.
         * @example {
         *       "id": 1,
         *       "name": "sports",
         *       "kind": "public",
         *       "title": "All about sports",
         *       "topic": "",
         *       "created_by": 1,
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "member_count": 2,
         *       "last_seq": 12,
         *       "version": 14
         *     }
         */
        RoomOut: {
            /** Id */
            id: number;
            /** Name */
            name: string | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "public" | "group" | "private";
            /** Title */
            title: string;
            /** Topic */
            topic: string;
            /** Created By */
            created_by: number | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Member Count */
            member_count: number;
            /** Last Seq */
            last_seq: number;
            /** Version */
            version: number;
            /** Members */
            members?: string[] | null;
        };
        /**
         * RoomIn
         * @example {
         *       "name": "sports",
         *       "kind": "public",
         *       "title": "All about sports"
         *     }
         */
        RoomIn: {
            /** Name */
            name: string;
            /**
             * Kind
             * @description public by default
             * @enum {string}
             */
            kind?: "public" | "group";
            /**
             * Title
             * @description Empty by default; may change
             */
            title?: string;
            /**
             * Topic
             * @description Empty by default; may change
             */
            topic?: string;
            /**
             * Members
             * @description Usernames or ids, besides the caller
             */
            members?: (string | number)[];
        };
        /**
         * RoomWithMembersOut
         * @description A new group room; `members` are all usernames.
         * @example {
         *       "id": 2,
         *       "name": "friends",
         *       "kind": "group",
         *       "title": "",
         *       "topic": "",
         *       "created_by": 1,
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "member_count": 2,
         *       "last_seq": 0,
         *       "version": 0,
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ]
         *     }
         */
        RoomWithMembersOut: {
            /** Id */
            id: number;
            /** Name */
            name: string | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "public" | "group" | "private";
            /** Title */
            title: string;
            /** Topic */
            topic: string;
            /** Created By */
            created_by: number | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Member Count */
            member_count: number;
            /** Last Seq */
            last_seq: number;
            /** Version */
            version: number;
            /** Members */
            members: string[];
        };
        /**
         * RoomWithMembersIn
         * @example {
         *       "name": "friends",
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ]
         *     }
         */
        RoomWithMembersIn: {
            /** Name */
            name: string;
            /** Members */
            members: string[];
        };
        /**
         * RoomChangeIn
         * @example {
         *       "title": "Friends",
         *       "topic": "Where do we go on Saturday?"
         *     }
         */
        RoomChangeIn: {
            /** Title */
            title?: string | null;
            /** Topic */
            topic?: string | null;
        };
        /**
         * MemberOut
         * @example {
         *       "id": 2,
         *       "username": "kaushal",
         *       "role": "admin",
         *       "online": false,
         *       "last_seen": "2026-01-31T19:02:41.007Z",
         *       "joined_at": "2026-01-31T18:21:00.000Z"
         *     }
         */
        MemberOut: {
            /** Id */
            id: number;
            /** Username */
            username: string;
            /**
             * Role
             * @enum {string}
             */
            role: "owner" | "admin" | "member";
            /** Online */
            online: boolean;
            /** Last Seen */
            last_seen: string | null;
            /**
             * Joined At
             * Format: date-time
             */
            joined_at: string;
        };
        /**
         * ReceiptOut
         * @description How far a member has read, and how far a client of theirs has received.
         * @example {
         *       "user_id": 2,
         *       "username": "kaushal",
         *       "read_seq": 11,
         *       "delivered_seq": 12
         *     }
         */
        ReceiptOut: {
            /** User Id */
            user_id: number;
            /** Username */
            username: string;
            /** Read Seq */
            read_seq: number;
            /** Delivered Seq */
            delivered_seq: number;
        };
        /**
         * AddedOut
         * @example {
         *       "room": {
         *         "created_at": "2026-01-31T18:20:05.123Z",
         *         "created_by": 1,
         *         "id": 2,
         *         "kind": "group",
         *         "last_seq": 12,
         *         "member_count": 2,
         *         "name": "friends",
         *         "title": "",
         *         "topic": "",
         *         "version": 14
         *       },
         *       "added_members": [
         *         "kaushal"
         *       ],
         *       "all_members": [
         *         "ila",
         *         "kaushal"
         *       ]
         *     }
         */
        AddedOut: {
            room: components["schemas"]["RoomOut"];
            /** Added Members */
            added_members: string[];
            /** All Members */
            all_members: string[];
        };
        /**
         * MembersIn
         * @example {
         *       "members": [
         *         "kaushal",
         *         3
         *       ]
         *     }
         */
        MembersIn: {
            /** Members */
            members: (string | number)[];
        };
        /**
         * RoleIn
         * @example {
         *       "role": "admin"
         *     }
         */
        RoleIn: {
            /**
             * Role
             * @enum {string}
             */
            role: "owner" | "admin" | "member";
        };
        /**
         * RemovedOut
         * @example {
         *       "version": 14
         *     }
         */
        RemovedOut: {
            /** Version */
            version: number;
        };
        /**
         * PrivateRoomOut
         * @description A private room: no name, and `members` are the two usernames.
         * @example {
         *       "id": 3,
         *       "name": null,
         *       "kind": "private",
         *       "title": "",
         *       "topic": "",
         *       "created_by": 1,
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "member_count": 2,
         *       "last_seq": 12,
         *       "version": 14,
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ]
         *     }
         */
        PrivateRoomOut: {
            /** Id */
            id: number;
            /** Name */
            name: string | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "public" | "group" | "private";
            /** Title */
            title: string;
            /** Topic */
            topic: string;
            /** Created By */
            created_by: number | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Member Count */
            member_count: number;
            /** Last Seq */
            last_seq: number;
            /** Version */
            version: number;
            /** Members */
            members: string[];
        };
        /**
         * AttachmentOut
         * @description A file of a message.
         *
         *     `width`, `height` and `thumbnail_url` are null for other than images.
         * @example {
         *       "id": 1,
         *       "name": "beach.jpg",
         *       "content_type": "image/jpeg",
         *       "size": 48213,
         *       "width": 1600,
         *       "height": 1200,
         *       "url": "/api/attachments/1/content",
         *       "thumbnail_url": "/api/attachments/1/thumbnail"
         *     }
         */
        AttachmentOut: {
            /** Id */
            id: number;
            /** Name */
            name: string;
            /** Content Type */
            content_type: string;
            /** Size */
            size: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Url */
            url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
        };
        /**
         * MessageOut
         * @example {
         *       "id": 1,
         *       "seq": 12,
         *       "version": 14,
         *       "room": "sports",
         *       "room_id": 1,
         *       "sender": 1,
         *       "username": "ila",
         *       "receiver": null,
         *       "timestamp": "2026-01-31T19:02:41.007Z",
         *       "edited_at": null,
         *       "deleted": false,
         *       "reply_to": null,
         *       "client_id": null,
         *       "attachments": [
         *         {
         *           "content_type": "image/jpeg",
         *           "height": 1200,
         *           "id": 1,
         *           "name": "beach.jpg",
         *           "size": 48213,
         *           "thumbnail_url": "/api/attachments/1/thumbnail",
         *           "url": "/api/attachments/1/content",
         *           "width": 1600
         *         }
         *       ],
         *       "reactions": [
         *         {
         *           "count": 1,
         *           "emoji": "👍",
         *           "users": [
         *             2
         *           ]
         *         }
         *       ],
         *       "mentions": [],
         *       "mentions_all": false,
         *       "quote": null,
         *       "pinned": false,
         *       "content": "Hey everyone!"
         *     }
         */
        MessageOut: {
            /** Id */
            id: number;
            /** Seq */
            seq: number;
            /** Version */
            version: number;
            /** Room */
            room: string | null;
            /** Room Id */
            room_id: number;
            /** Sender */
            sender: number;
            /** Username */
            username: string;
            /** Receiver */
            receiver: number | null;
            /**
             * Timestamp
             * Format: date-time
             */
            timestamp: string;
            /** Edited At */
            edited_at: string | null;
            /** Deleted */
            deleted: boolean;
            /** Reply To */
            reply_to: number | null;
            /** Client Id */
            client_id: string | null;
            /** Attachments */
            attachments: components["schemas"]["AttachmentOut"][];
            /** Reactions */
            reactions: components["schemas"]["ReactionOut"][];
            /**
             * Mentions
             * @description Ids of mentioned members, at most 50
             */
            mentions: number[];
            /**
             * Mentions All
             * @description An owner or admin of a public or a group room wrote `@all`
             */
            mentions_all: boolean;
            quote: components["schemas"]["QuoteOut"] | null;
            /** Pinned */
            pinned: boolean;
            /** Content */
            content: string;
        };
        /**
         * MyRoomOut
         * @example {
         *       "id": 1,
         *       "name": "sports",
         *       "kind": "public",
         *       "title": "All about sports",
         *       "topic": "",
         *       "created_by": 1,
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "member_count": 2,
         *       "last_seq": 12,
         *       "version": 14,
         *       "role": "owner",
         *       "unread": 0,
         *       "last_read_seq": 12,
         *       "mentions": 0,
         *       "muted": false,
         *       "muted_until": null,
         *       "notify": "all",
         *       "last_message": {
         *         "attachments": [
         *           {
         *             "content_type": "image/jpeg",
         *             "height": 1200,
         *             "id": 1,
         *             "name": "beach.jpg",
         *             "size": 48213,
         *             "thumbnail_url": "/api/attachments/1/thumbnail",
         *             "url": "/api/attachments/1/content",
         *             "width": 1600
         *           }
         *         ],
         *         "client_id": null,
         *         "content": "Hey everyone!",
         *         "deleted": false,
         *         "edited_at": null,
         *         "id": 1,
         *         "mentions": [],
         *         "mentions_all": false,
         *         "pinned": false,
         *         "quote": null,
         *         "reactions": [
         *           {
         *             "count": 1,
         *             "emoji": "👍",
         *             "users": [
         *               2
         *             ]
         *           }
         *         ],
         *         "receiver": null,
         *         "reply_to": null,
         *         "room": "sports",
         *         "room_id": 1,
         *         "sender": 1,
         *         "seq": 12,
         *         "timestamp": "2026-01-31T19:02:41.007Z",
         *         "username": "ila",
         *         "version": 14
         *       }
         *     }
         */
        MyRoomOut: {
            /** Id */
            id: number;
            /** Name */
            name: string | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "public" | "group" | "private";
            /** Title */
            title: string;
            /** Topic */
            topic: string;
            /** Created By */
            created_by: number | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Member Count */
            member_count: number;
            /** Last Seq */
            last_seq: number;
            /** Version */
            version: number;
            /** Members */
            members?: string[] | null;
            /**
             * Role
             * @enum {string}
             */
            role: "owner" | "admin" | "member";
            /** Unread */
            unread: number;
            /** Last Read Seq */
            last_read_seq: number;
            /**
             * Mentions
             * @description Unread messages that mention you or everyone
             */
            mentions: number;
            /** Muted */
            muted: boolean;
            /** Muted Until */
            muted_until: string | null;
            /**
             * Notify
             * @enum {string}
             */
            notify: "all" | "mentions" | "none";
            last_message: components["schemas"]["MessageOut"] | null;
        };
        /**
         * QuoteOut
         * @description The message that another one replies to, as it is now.
         *
         *     `content` has at most 200 characters, and none when the message was deleted.
         * @example {
         *       "id": 1,
         *       "sender": 2,
         *       "username": "kaushal",
         *       "content": "Hi!",
         *       "deleted": false
         *     }
         */
        QuoteOut: {
            /** Id */
            id: number;
            /** Sender */
            sender: number;
            /** Username */
            username: string;
            /** Content */
            content: string;
            /** Deleted */
            deleted: boolean;
        };
        /**
         * ReactionOut
         * @description One emoji of a message; `users` are the ids of the first 50.
         * @example {
         *       "emoji": "👍",
         *       "count": 1,
         *       "users": [
         *         2
         *       ]
         *     }
         */
        ReactionOut: {
            /** Emoji */
            emoji: string;
            /** Count */
            count: number;
            /** Users */
            users: number[];
        };
        /**
         * MyRoomIn
         * @description Members that are left out stay as they are.
         * @example {
         *       "muted": true
         *     }
         */
        MyRoomIn: {
            /**
             * Muted
             * @description Whether the room is muted: no message of it is pushed
             */
            muted?: boolean | null;
            /**
             * Muted Until
             * @description Mutes until then, in the future; without it for good
             */
            muted_until?: string | null;
            /**
             * Notify
             * @description Which messages are pushed: `all`, `mentions` or `none`
             */
            notify?: ("all" | "mentions" | "none") | null;
        };
        /**
         * MessageToRoomIn
         * @description `room` is a name or an id.
         * @example {
         *       "content": "Hey everyone!",
         *       "room": "friends"
         *     }
         */
        MessageToRoomIn: {
            /** Content */
            content: string;
            /** Username */
            username?: string | null;
            /**
             * Client Id
             * @description Chosen by the client, new for each message: makes a send safe to repeat
             */
            client_id?: string | null;
            /** Reply To */
            reply_to?: number | null;
            /**
             * Attachments
             * @description Ids of files that you uploaded, attached to no message yet. With files the text may be empty
             */
            attachments?: number[];
            /** Room */
            room: string | number;
        };
        /**
         * MessageIn
         * @description A message from a client. `username`, if sent, must be the caller's own.
         * @example {
         *       "content": "Hey everyone!"
         *     }
         */
        MessageIn: {
            /** Content */
            content: string;
            /** Username */
            username?: string | null;
            /**
             * Client Id
             * @description Chosen by the client, new for each message: makes a send safe to repeat
             */
            client_id?: string | null;
            /** Reply To */
            reply_to?: number | null;
            /**
             * Attachments
             * @description Ids of files that you uploaded, attached to no message yet. With files the text may be empty
             */
            attachments?: number[];
        };
        /**
         * ReadOut
         * @example {
         *       "last_read_seq": 12,
         *       "unread": 0
         *     }
         */
        ReadOut: {
            /** Last Read Seq */
            last_read_seq: number;
            /** Unread */
            unread: number;
        };
        /**
         * ReadIn
         * @example {
         *       "seq": 12
         *     }
         */
        ReadIn: {
            /** Seq */
            seq: number;
        };
        /**
         * DeliveredOut
         * @example {
         *       "delivered_seq": 12
         *     }
         */
        DeliveredOut: {
            /** Delivered Seq */
            delivered_seq: number;
        };
        /**
         * FoundMessageOut
         * @description A found message; `highlight` is an escaped HTML excerpt with `<mark>`.
         * @example {
         *       "id": 1,
         *       "seq": 12,
         *       "version": 14,
         *       "room": "sports",
         *       "room_id": 1,
         *       "sender": 1,
         *       "username": "ila",
         *       "receiver": null,
         *       "timestamp": "2026-01-31T19:02:41.007Z",
         *       "edited_at": null,
         *       "deleted": false,
         *       "reply_to": null,
         *       "client_id": null,
         *       "attachments": [
         *         {
         *           "content_type": "image/jpeg",
         *           "height": 1200,
         *           "id": 1,
         *           "name": "beach.jpg",
         *           "size": 48213,
         *           "thumbnail_url": "/api/attachments/1/thumbnail",
         *           "url": "/api/attachments/1/content",
         *           "width": 1600
         *         }
         *       ],
         *       "reactions": [
         *         {
         *           "count": 1,
         *           "emoji": "👍",
         *           "users": [
         *             2
         *           ]
         *         }
         *       ],
         *       "mentions": [],
         *       "mentions_all": false,
         *       "quote": null,
         *       "pinned": false,
         *       "content": "Hey everyone!",
         *       "highlight": "<mark>Hey</mark> everyone!"
         *     }
         */
        FoundMessageOut: {
            /** Id */
            id: number;
            /** Seq */
            seq: number;
            /** Version */
            version: number;
            /** Room */
            room: string | null;
            /** Room Id */
            room_id: number;
            /** Sender */
            sender: number;
            /** Username */
            username: string;
            /** Receiver */
            receiver: number | null;
            /**
             * Timestamp
             * Format: date-time
             */
            timestamp: string;
            /** Edited At */
            edited_at: string | null;
            /** Deleted */
            deleted: boolean;
            /** Reply To */
            reply_to: number | null;
            /** Client Id */
            client_id: string | null;
            /** Attachments */
            attachments: components["schemas"]["AttachmentOut"][];
            /** Reactions */
            reactions: components["schemas"]["ReactionOut"][];
            /**
             * Mentions
             * @description Ids of mentioned members, at most 50
             */
            mentions: number[];
            /**
             * Mentions All
             * @description An owner or admin of a public or a group room wrote `@all`
             */
            mentions_all: boolean;
            quote: components["schemas"]["QuoteOut"] | null;
            /** Pinned */
            pinned: boolean;
            /** Content */
            content: string;
            /** Highlight */
            highlight: string;
        };
        /**
         * EditIn
         * @example {
         *       "content": "Hey everyone!"
         *     }
         */
        EditIn: {
            /** Content */
            content: string;
        };
        /**
         * MediaKeyOut
         * @description A key for `?key=` of files and thumbnails.
         * @example {
         *       "key": "WzEsMiwxNzY5ODg5MzYxXQ.wsTvKU5L",
         *       "expires_at": "2026-01-31T20:02:41.000Z"
         *     }
         */
        MediaKeyOut: {
            /** Key */
            key: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
        };
        /**
         * PushKeyOut
         * @example {
         *       "public_key": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
         *     }
         */
        PushKeyOut: {
            /** Public Key */
            public_key: string;
        };
        /**
         * SubscriptionOut
         * @example {
         *       "id": 1,
         *       "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
         *       "created_at": "2026-01-31T18:20:05.123Z"
         *     }
         */
        SubscriptionOut: {
            /** Id */
            id: number;
            /** Endpoint */
            endpoint: string;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
        };
        /**
         * SubscriptionIn
         * @description The JSON of `PushSubscription.toJSON()`.
         * @example {
         *       "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
         *       "expirationTime": null,
         *       "keys": {
         *         "auth": "BTBZMqHH6r4Tts7J_aSIgg",
         *         "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
         *       }
         *     }
         */
        SubscriptionIn: {
            /** Endpoint */
            endpoint: string;
            /** Expirationtime */
            expirationTime?: number | null;
            keys: components["schemas"]["SubscriptionKeysIn"];
        };
        /**
         * SubscriptionKeysIn
         * @example {
         *       "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
         *       "auth": "BTBZMqHH6r4Tts7J_aSIgg"
         *     }
         */
        SubscriptionKeysIn: {
            /**
             * P256Dh
             * @description The browser's public key, in base64url
             */
            p256dh: string;
            /**
             * Auth
             * @description The browser's secret, in base64url
             */
            auth: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: {
        /**
         * @description The pages around this one: `next` and `prev` (RFC 8288)
         * @example </api/rooms?cursor=WyJuIiw1MF0&limit=50>; rel="next"
         */
        Link: string;
        /**
         * @description Seconds to wait
         * @example 1
         */
        "Retry-After": number;
        /**
         * @description How to authenticate (RFC 6750)
         * @example Bearer
         */
        "WWW-Authenticate": "Bearer";
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    register: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RegisterIn"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                     *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                     *       "id": 1,
                     *       "username": "ila",
                     *       "email": "ila@example.com"
                     *     }
                     */
                    "application/json": components["schemas"]["RegisterOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    login: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["LoginIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                     *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                     *       "user": {
                     *         "email": "ila@example.com",
                     *         "id": 1,
                     *         "username": "ila"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["LoginOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    refreshTokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                     *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
                     *     }
                     */
                    "application/json": components["schemas"]["TokensOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    verifyToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TokenIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example {} */
                    "application/json": components["schemas"]["ValidOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    logout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["LogoutIn"] | null;
            };
        };
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listUsers: {
        parameters: {
            query?: {
                /** @description Start of a username or display name */
                q?: string;
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 2,
                     *         "username": "kaushal",
                     *         "display_name": "Kaushal"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["UserOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readProfile: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "username": "ila",
                     *       "display_name": "Ila P.",
                     *       "email": "ila@example.com",
                     *       "share_receipts": true,
                     *       "quiet_hours": null
                     *     }
                     */
                    "application/json": components["schemas"]["MeOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    changeProfile: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ProfileIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "username": "ila",
                     *       "display_name": "Ila P.",
                     *       "email": "ila@example.com",
                     *       "share_receipts": true,
                     *       "quiet_hours": null
                     *     }
                     */
                    "application/json": components["schemas"]["MeOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    changePassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PasswordIn"];
            };
        };
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listSessions: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "created_at": "2026-01-31T18:20:05.123Z",
                     *         "last_used_at": "2026-01-31T19:02:41.007Z",
                     *         "user_agent": "Mozilla/5.0",
                     *         "ip": "192.0.2.7",
                     *         "current": true
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["SessionOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    endSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of one of your sessions
                 * @example 2
                 */
                session_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listRooms: {
        parameters: {
            query?: {
                /** @description Start of a name or title */
                q?: string;
                /** @description Only this kind */
                kind?: ("public" | "group" | "private") | null;
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "name": "sports",
                     *         "kind": "public",
                     *         "title": "All about sports",
                     *         "topic": "",
                     *         "created_by": 1,
                     *         "created_at": "2026-01-31T18:20:05.123Z",
                     *         "member_count": 2,
                     *         "last_seq": 12,
                     *         "version": 14
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["RoomOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    createRoom: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoomIn"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "sports",
                     *       "kind": "public",
                     *       "title": "All about sports",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14
                     *     }
                     */
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    createRoomWithMembers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoomWithMembersIn"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 2,
                     *       "name": "friends",
                     *       "kind": "group",
                     *       "title": "",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 0,
                     *       "version": 0,
                     *       "members": [
                     *         "ila",
                     *         "kaushal"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["RoomWithMembersOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "sports",
                     *       "kind": "public",
                     *       "title": "All about sports",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14
                     *     }
                     */
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    deleteRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    changeRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoomChangeIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "sports",
                     *       "kind": "public",
                     *       "title": "All about sports",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14
                     *     }
                     */
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    joinRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "sports",
                     *       "kind": "public",
                     *       "title": "All about sports",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14
                     *     }
                     */
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    leaveRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listMembers: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 2,
                     *         "username": "kaushal",
                     *         "role": "admin",
                     *         "online": false,
                     *         "last_seen": "2026-01-31T19:02:41.007Z",
                     *         "joined_at": "2026-01-31T18:21:00.000Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MemberOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listReceipts: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "user_id": 2,
                     *         "username": "kaushal",
                     *         "read_seq": 11,
                     *         "delivered_seq": 12
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ReceiptOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    addMembers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MembersIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "room": {
                     *         "created_at": "2026-01-31T18:20:05.123Z",
                     *         "created_by": 1,
                     *         "id": 2,
                     *         "kind": "group",
                     *         "last_seq": 12,
                     *         "member_count": 2,
                     *         "name": "friends",
                     *         "title": "",
                     *         "topic": "",
                     *         "version": 14
                     *       },
                     *       "added_members": [
                     *         "kaushal"
                     *       ],
                     *       "all_members": [
                     *         "ila",
                     *         "kaushal"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["AddedOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    removeMember: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description Username of the other user
                 * @example kaushal
                 */
                username: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "version": 14
                     *     }
                     */
                    "application/json": components["schemas"]["RemovedOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    changeRole: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description Username of the other user
                 * @example kaushal
                 */
                username: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoleIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 2,
                     *       "username": "kaushal",
                     *       "role": "admin",
                     *       "online": false,
                     *       "last_seen": "2026-01-31T19:02:41.007Z",
                     *       "joined_at": "2026-01-31T18:21:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["MemberOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    openPrivateRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Username of the other user
                 * @example kaushal
                 */
                username: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 3,
                     *       "name": null,
                     *       "kind": "private",
                     *       "title": "",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14,
                     *       "members": [
                     *         "ila",
                     *         "kaushal"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["PrivateRoomOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listMyRooms: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "name": "sports",
                     *         "kind": "public",
                     *         "title": "All about sports",
                     *         "topic": "",
                     *         "created_by": 1,
                     *         "created_at": "2026-01-31T18:20:05.123Z",
                     *         "member_count": 2,
                     *         "last_seq": 12,
                     *         "version": 14,
                     *         "role": "owner",
                     *         "unread": 0,
                     *         "last_read_seq": 12,
                     *         "mentions": 0,
                     *         "muted": false,
                     *         "muted_until": null,
                     *         "notify": "all",
                     *         "last_message": {
                     *           "attachments": [
                     *             {
                     *               "content_type": "image/jpeg",
                     *               "height": 1200,
                     *               "id": 1,
                     *               "name": "beach.jpg",
                     *               "size": 48213,
                     *               "thumbnail_url": "/api/attachments/1/thumbnail",
                     *               "url": "/api/attachments/1/content",
                     *               "width": 1600
                     *             }
                     *           ],
                     *           "client_id": null,
                     *           "content": "Hey everyone!",
                     *           "deleted": false,
                     *           "edited_at": null,
                     *           "id": 1,
                     *           "mentions": [],
                     *           "mentions_all": false,
                     *           "pinned": false,
                     *           "quote": null,
                     *           "reactions": [
                     *             {
                     *               "count": 1,
                     *               "emoji": "👍",
                     *               "users": [
                     *                 2
                     *               ]
                     *             }
                     *           ],
                     *           "receiver": null,
                     *           "reply_to": null,
                     *           "room": "sports",
                     *           "room_id": 1,
                     *           "sender": 1,
                     *           "seq": 12,
                     *           "timestamp": "2026-01-31T19:02:41.007Z",
                     *           "username": "ila",
                     *           "version": 14
                     *         }
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MyRoomOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    changeMyRoom: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MyRoomIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "sports",
                     *       "kind": "public",
                     *       "title": "All about sports",
                     *       "topic": "",
                     *       "created_by": 1,
                     *       "created_at": "2026-01-31T18:20:05.123Z",
                     *       "member_count": 2,
                     *       "last_seq": 12,
                     *       "version": 14,
                     *       "role": "owner",
                     *       "unread": 0,
                     *       "last_read_seq": 12,
                     *       "mentions": 0,
                     *       "muted": false,
                     *       "muted_until": null,
                     *       "notify": "all",
                     *       "last_message": {
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "client_id": null,
                     *         "content": "Hey everyone!",
                     *         "deleted": false,
                     *         "edited_at": null,
                     *         "id": 1,
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "pinned": false,
                     *         "quote": null,
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "receiver": null,
                     *         "reply_to": null,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "seq": 12,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "username": "ila",
                     *         "version": 14
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["MyRoomOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readFeed: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                before?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    sendToRoom: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MessageToRoomIn"];
            };
        };
        responses: {
            /** @description This `client_id` was sent before: the message as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readMessages: {
        parameters: {
            query?: {
                /** @description Messages before this `seq` */
                before?: number | null;
                /** @description Messages after this `seq` */
                after?: number | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    sendMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MessageIn"];
            };
        };
        responses: {
            /** @description This `client_id` was sent before: the message as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readMessagesAlias: {
        parameters: {
            query?: {
                /** @description Messages before this `seq` */
                before?: number | null;
                /** @description Messages after this `seq` */
                after?: number | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    sendMessageAlias: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MessageIn"];
            };
        };
        responses: {
            /** @description This `client_id` was sent before: the message as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readHistory: {
        parameters: {
            query?: {
                /** @description Messages before this `seq` */
                before?: number | null;
                /** @description Messages after this `seq` */
                after?: number | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description `name` of a public or a group room
                 * @example friends
                 */
                room_name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    markRead: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReadIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "last_read_seq": 12,
                     *       "unread": 0
                     *     }
                     */
                    "application/json": components["schemas"]["ReadOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    markDelivered: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReadIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "delivered_seq": 12
                     *     }
                     */
                    "application/json": components["schemas"]["DeliveredOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    search: {
        parameters: {
            query?: {
                /** @description All words must be in a message, in any order; those in quotation marks in this order. `-word` excludes a word. The last word may be the start of one */
                q?: string;
                /** @description Only this room: an id, or a name that is no number */
                room?: string | null;
                /** @description Only messages of this username */
                from?: string | null;
                /** @description Only messages before this time */
                before?: string | null;
                /** @description Only messages from this time on */
                after?: string | null;
                /** @description Only with a file, an image or a link */
                has?: ("file" | "image" | "link") | null;
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!",
                     *         "highlight": "<mark>Hey</mark> everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["FoundMessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    deleteMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    editMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EditIn"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    addReaction: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
                /**
                 * @description An emoji
                 * @example 👍
                 */
                emoji: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    removeReaction: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
                /**
                 * @description An emoji
                 * @example 👍
                 */
                emoji: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    pinMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    unpinMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
                /**
                 * @description `id` of a message of the room
                 * @example 1
                 */
                message_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "seq": 12,
                     *       "version": 14,
                     *       "room": "sports",
                     *       "room_id": 1,
                     *       "sender": 1,
                     *       "username": "ila",
                     *       "receiver": null,
                     *       "timestamp": "2026-01-31T19:02:41.007Z",
                     *       "edited_at": null,
                     *       "deleted": false,
                     *       "reply_to": null,
                     *       "client_id": null,
                     *       "attachments": [
                     *         {
                     *           "content_type": "image/jpeg",
                     *           "height": 1200,
                     *           "id": 1,
                     *           "name": "beach.jpg",
                     *           "size": 48213,
                     *           "thumbnail_url": "/api/attachments/1/thumbnail",
                     *           "url": "/api/attachments/1/content",
                     *           "width": 1600
                     *         }
                     *       ],
                     *       "reactions": [
                     *         {
                     *           "count": 1,
                     *           "emoji": "👍",
                     *           "users": [
                     *             2
                     *           ]
                     *         }
                     *       ],
                     *       "mentions": [],
                     *       "mentions_all": false,
                     *       "quote": null,
                     *       "pinned": false,
                     *       "content": "Hey everyone!"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listPins: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description `id` of a room
                 * @example 1
                 */
                room_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "seq": 12,
                     *         "version": 14,
                     *         "room": "sports",
                     *         "room_id": 1,
                     *         "sender": 1,
                     *         "username": "ila",
                     *         "receiver": null,
                     *         "timestamp": "2026-01-31T19:02:41.007Z",
                     *         "edited_at": null,
                     *         "deleted": false,
                     *         "reply_to": null,
                     *         "client_id": null,
                     *         "attachments": [
                     *           {
                     *             "content_type": "image/jpeg",
                     *             "height": 1200,
                     *             "id": 1,
                     *             "name": "beach.jpg",
                     *             "size": 48213,
                     *             "thumbnail_url": "/api/attachments/1/thumbnail",
                     *             "url": "/api/attachments/1/content",
                     *             "width": 1600
                     *           }
                     *         ],
                     *         "reactions": [
                     *           {
                     *             "count": 1,
                     *             "emoji": "👍",
                     *             "users": [
                     *               2
                     *             ]
                     *           }
                     *         ],
                     *         "mentions": [],
                     *         "mentions_all": false,
                     *         "quote": null,
                     *         "pinned": false,
                     *         "content": "Hey everyone!"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    uploadAttachment: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * File
                     * Format: binary
                     * @description The file; its type is detected
                     */
                    file: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "beach.jpg",
                     *       "content_type": "image/jpeg",
                     *       "size": 48213,
                     *       "width": 1600,
                     *       "height": 1200,
                     *       "url": "/api/attachments/1/content",
                     *       "thumbnail_url": "/api/attachments/1/thumbnail"
                     *     }
                     */
                    "application/json": components["schemas"]["AttachmentOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The file is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Files of this type are not accepted. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Your files need more space than you have. */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readAttachment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a file
                 * @example 1
                 */
                attachment_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "name": "beach.jpg",
                     *       "content_type": "image/jpeg",
                     *       "size": 48213,
                     *       "width": 1600,
                     *       "height": 1200,
                     *       "url": "/api/attachments/1/content",
                     *       "thumbnail_url": "/api/attachments/1/thumbnail"
                     *     }
                     */
                    "application/json": components["schemas"]["AttachmentOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    deleteAttachment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a file
                 * @example 1
                 */
                attachment_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description You may not do this. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    downloadAttachment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a file
                 * @example 1
                 */
                attachment_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The bytes of the file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The bytes of the `Range` */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description With object storage: a URL that is valid for 5 minutes */
            302: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it: `If-None-Match` names its `ETag` */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The file ends before the `Range`. */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    downloadThumbnail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of a file
                 * @example 1
                 */
                attachment_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The bytes of the file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The bytes of the `Range` */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description With object storage: a URL that is valid for 5 minutes */
            302: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it: `If-None-Match` names its `ETag` */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The file ends before the `Range`. */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    makeMediaKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "key": "WzEsMiwxNzY5ODg5MzYxXQ.wsTvKU5L",
                     *       "expires_at": "2026-01-31T20:02:41.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["MediaKeyOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    readPushKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "public_key": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
                     *     }
                     */
                    "application/json": components["schemas"]["PushKeyOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    listSubscriptions: {
        parameters: {
            query?: {
                /** @description From the `Link` header of an earlier page */
                cursor?: string | null;
                /** @description How many, at most 200 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
                     *         "created_at": "2026-01-31T18:20:05.123Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["SubscriptionOut"][];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    addSubscription: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SubscriptionIn"];
            };
        };
        responses: {
            /** @description This endpoint was known: the subscription belongs to this session now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
                     *       "created_at": "2026-01-31T18:20:05.123Z"
                     *     }
                     */
                    "application/json": components["schemas"]["SubscriptionOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
                     *       "created_at": "2026-01-31T18:20:05.123Z"
                     *     }
                     */
                    "application/json": components["schemas"]["SubscriptionOut"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description This conflicts with the present state; `code` says how. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    deleteSubscription: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `id` of one of your push subscriptions
                 * @example 1
                 */
                subscription_id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The credentials are missing or no longer good. */
            401: {
                headers: {
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description It does not exist, or you may not see it. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description A value breaks a rule; `errors` says which. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too many requests: wait for the seconds in `Retry-After`. */
            429: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description The server is busy: try again after the seconds in `Retry-After`. */
            503: {
                headers: {
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
}
