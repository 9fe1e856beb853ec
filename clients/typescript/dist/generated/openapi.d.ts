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
         * Register
         * @description Register an account.
         *
         *     The answer holds the first tokens, so no login has to follow. Send a username, an e-mail address
         *     or both; with an e-mail address alone the username is made from the part before the `@`.
         */
        post: operations["accounts_api_register"];
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
         * Login
         * @description Log in with a username or an e-mail address.
         *
         *     `username` may hold an e-mail address, too. Send `access` as `Authorization: Bearer <access>`
         *     with each request; exchange `refresh` for the next pair before `access` expires.
         */
        post: operations["accounts_api_login"];
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
         * Refresh Tokens
         * @description Exchange a refresh token for new tokens.
         *
         *     A refresh token works once. Sent again within 30 seconds it answers the same pair, for two tabs
         *     or a lost answer; sent later it ends the session, because it may have been stolen.
         */
        post: operations["accounts_api_refresh_tokens"];
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
         * Verify Token
         * @description Check an access token.
         *
         *     The answer is 200 with `{}` when the token works now, else 401 with the reason.
         */
        post: operations["accounts_api_verify_token"];
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
         * Logout
         * @description Log out and end the session.
         *
         *     Send the access token as a header, or `refresh` in the body, or both. The session's tokens stop
         *     working at once and its open sockets close with 4401.
         */
        post: operations["accounts_api_logout"];
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
         * List Users
         * @description List users in the order of their names.
         *
         *     `q` keeps those whose username or display name starts with it. The order is that of the name
         *     that matches, the username if both do.
         */
        get: operations["accounts_api_list_users"];
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
         * Read Profile
         * @description Read your own account.
         *
         *     Other users see the username and the display name, never the e-mail address.
         */
        get: operations["accounts_api_read_profile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change Profile
         * @description Change your profile: display name, e-mail, quiet hours, sharing of receipts.
         *
         *     Omitted members stay unchanged. In quiet hours no push is sent to you; null ends them.
         *     A new e-mail address needs the current `password`.
         */
        patch: operations["accounts_api_change_profile"];
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
         * Change Password
         * @description Change your password.
         *
         *     All other sessions of the account end at once; this one continues.
         */
        post: operations["accounts_api_change_password"];
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
         * List Sessions
         * @description List your sessions, newest first.
         *
         *     Each login is a session of its own. `current` marks the one that sent this request.
         */
        get: operations["accounts_api_list_sessions"];
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
         * End Session
         * @description End one of your sessions.
         *
         *     Its tokens stop working at once and its open sockets close with 4401.
         */
        delete: operations["accounts_api_end_session"];
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
         * List Rooms
         * @description List all public rooms and your own.
         *
         *     `q` keeps those whose name or title starts with it, in the order of that name or title. Your own
         *     rooms with unread counts are at `/api/my-rooms`.
         */
        get: operations["rooms_api_list_rooms"];
        put?: never;
        /**
         * Create Room
         * @description Create a public or a group room.
         *
         *     You become its owner. Everyone may read and join a public room; only members see a group.
         *     The name never changes, because it is part of URLs; the title may change.
         */
        post: operations["rooms_api_create_room"];
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
         * Create Room With Members
         * @description Create a group room with its members.
         *
         *     You become its owner and need not name yourself. With an unknown name nothing is created.
         */
        post: operations["rooms_api_create_room_with_members"];
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
         * Read Room
         * @description Read one room.
         *
         *     A room that you may not see answers 404, like a room that does not exist.
         */
        get: operations["rooms_api_read_room"];
        put?: never;
        post?: never;
        /**
         * Delete Room
         * @description Delete a room.
         *
         *     For owners. Its messages can no longer be read, and open sockets close with 4404.
         */
        delete: operations["rooms_api_delete_room"];
        options?: never;
        head?: never;
        /**
         * Change Room
         * @description Change the title or the topic of a room.
         *
         *     For owners and admins. Omitted members stay unchanged.
         */
        patch: operations["rooms_api_change_room"];
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
         * Join Room
         * @description Join a public room.
         *
         *     Members find the room in `/api/my-rooms`. Sending a message joins, too.
         */
        post: operations["rooms_api_join_room"];
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
         * Leave Room
         * @description Leave a public or a group room.
         *
         *     Your open sockets there close with 1000. The last owner of a group first makes another
         *     member owner, or deletes the room.
         */
        post: operations["rooms_api_leave_room"];
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
         * List Members
         * @description List the members of a room in the order of joining.
         *
         *     `online` is true for members with an open socket in this room.
         */
        get: operations["rooms_api_list_members"];
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
         * List Receipts
         * @description List how far the members of a room have read and received.
         *
         *     For members of rooms of at most 100 members. Users who do not share receipts are not listed, and
         *     get an empty list.
         */
        get: operations["rooms_api_list_receipts"];
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
         * Add Members
         * @description Add members to a room.
         *
         *     For owners and admins. A string is a username, an integer an id. With an unknown user no member
         *     is added. Adding a banned user lifts the ban.
         */
        post: operations["rooms_api_add_members"];
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
         * Remove Member
         * @description Remove a member from a room.
         *
         *     For owners and admins. No change of the room after `version` reaches the removed user. From a
         *     public room any user can be removed, member or not: the removal is also a ban.
         */
        delete: operations["rooms_api_remove_member"];
        options?: never;
        head?: never;
        /**
         * Change Role
         * @description Change the role of a member.
         *
         *     For owners. A group always keeps one owner.
         */
        patch: operations["rooms_api_change_role"];
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
         * Open Private Room
         * @description Open the private room with another user.
         *
         *     The room is created if missing, so this is safe to repeat. Its messages are at
         *     `/api/rooms/{room_id}/messages`.
         */
        post: operations["rooms_api_open_private_room"];
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
         * List My Rooms
         * @description List your rooms, latest activity first.
         *
         *     Each has its unread count and its last message. A private room is listed from its first message
         *     on.
         */
        get: operations["messaging_api_list_my_rooms"];
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
         * Change My Room
         * @description Change the notifications of a room.
         *
         *     Mute it for good or until a time, or choose which messages are pushed to your devices. Unread
         *     counts and sockets are not affected.
         */
        patch: operations["messaging_api_change_my_room"];
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
         * Read Feed
         * @description Read the newest messages of all rooms that you may read.
         *
         *     A page runs from old to new. It looks at 10,000 messages of the site at most, so it can be short
         *     or empty: as long as `Link` has a `prev`, there may be older ones. This is a feed; to
         *     synchronise, read each room.
         */
        get: operations["messaging_api_read_feed"];
        put?: never;
        /**
         * Send To Room
         * @description Send a message to a room named in the body.
         *
         *     `room` is a name or an id. With a `client_id`, sending again is safe: it answers 200 with the
         *     message of the first time and creates no second one.
         */
        post: operations["messaging_api_send_to_room"];
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
         * Read Messages
         * @description Read the messages of a room.
         *
         *     A page runs from old to new. Without `before` and `after` it is the newest; `Link` leads to the
         *     pages around it.
         */
        get: operations["messaging_api_read_messages"];
        put?: never;
        /**
         * Send Message
         * @description Send a message to a room.
         *
         *     Sending joins a public room. With a `client_id`, sending again is safe: it answers 200 with the
         *     message of the first time and creates no second one.
         */
        post: operations["messaging_api_send_message"];
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
         * Read Messages Alias
         * @description Read the messages of a room, at its other path.
         *
         *     The same as `GET /api/rooms/{room_id}/messages`.
         */
        get: operations["messaging_api_read_messages_alias"];
        put?: never;
        /**
         * Send Message Alias
         * @description Send a message to a room, at its other path.
         *
         *     The same as `POST /api/rooms/{room_id}/messages`.
         */
        post: operations["messaging_api_send_message_alias"];
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
         * Read History
         * @description Read the messages of a room by its name.
         *
         *     For public and group rooms. The same as `GET /api/rooms/{room_id}/messages`.
         */
        get: operations["messaging_api_read_history"];
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
         * Mark Read
         * @description Mark the messages of a room as read.
         *
         *     Everything up to `seq` counts as read. The mark never moves back, and never past the last
         *     message. Sending a message moves it, too.
         */
        post: operations["messaging_api_mark_read"];
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
         * Mark Delivered
         * @description Mark the messages of a room as delivered.
         *
         *     Your device has everything up to `seq`. The mark never moves back, never past the last message,
         *     and is never behind the read mark.
         */
        post: operations["messaging_api_mark_delivered"];
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
         * Search
         * @description Search the messages of all rooms that you may read.
         *
         *     The newest come first. Case and accents are ignored. `highlight` is HTML that is safe to insert:
         *     an excerpt of the text with the matches in `<mark>`. `Link` has a `next` only. A page looks at a
         *     limited number of messages, so it can be short or empty: as long as `Link` has a `next`, there
         *     may be older ones.
         */
        get: operations["messaging_search_api_search"];
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
         * Delete Message
         * @description Delete a message.
         *
         *     For its author, and for owners and admins of the room. The message keeps its `seq`, with
         *     `deleted` and an empty text. Deleting it again changes nothing.
         */
        delete: operations["messaging_changes_api_delete_message"];
        options?: never;
        head?: never;
        /**
         * Edit Message
         * @description Edit your own message.
         *
         *     Only the text changes; `edited_at` tells when.
         */
        patch: operations["messaging_changes_api_edit_message"];
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
         * Add Reaction
         * @description Add your reaction to a message.
         *
         *     Adding the same one again changes nothing.
         */
        put: operations["messaging_changes_api_add_reaction"];
        post?: never;
        /**
         * Remove Reaction
         * @description Remove your reaction from a message.
         *
         *     Removing one that is not there changes nothing.
         */
        delete: operations["messaging_changes_api_remove_reaction"];
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
         * Pin Message
         * @description Add a message to the pins of its room.
         *
         *     For owners and admins; in a private room for both users. Pinning it again changes nothing.
         */
        put: operations["messaging_changes_api_pin_message"];
        post?: never;
        /**
         * Unpin Message
         * @description Remove a message from the pins of its room.
         *
         *     For owners and admins; in a private room for both users. The message itself stays.
         */
        delete: operations["messaging_changes_api_unpin_message"];
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
         * List Pins
         * @description List the pinned messages of a room, newest pin first.
         *
         *     A room has at most 100. `Link` has a `next` only.
         */
        get: operations["messaging_changes_api_list_pins"];
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
         * Upload Attachment
         * @description Upload a file, to attach it to a message.
         *
         *     The type is detected from the bytes. Metadata of images, such as the place, is removed, and
         *     orientation applied. A file that no message takes is deleted after 24 hours.
         */
        post: operations["messaging_attachments_api_upload_attachment"];
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
         * Read Attachment
         * @description Read name, type and size of a file.
         *
         *     For its uploader, and for users who can read the message that it is attached to.
         */
        get: operations["messaging_attachments_api_read_attachment"];
        put?: never;
        post?: never;
        /**
         * Delete Attachment
         * @description Delete a file that is attached to no message.
         *
         *     For its uploader. Files of a message are deleted with it.
         */
        delete: operations["messaging_attachments_api_delete_attachment"];
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
         * Download Attachment
         * @description Download a file.
         *
         *     Sign in with the header, or with a media key as `?key=`. Pictures, audio and video are shown in
         *     place, every other type is a download. One `Range` is answered with 206.
         */
        get: operations["messaging_attachments_api_download_attachment"];
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
         * Download Thumbnail
         * @description Download the thumbnail of an image.
         *
         *     A WebP of at most 512 pixels a side; of an animation its first frame.
         */
        get: operations["messaging_attachments_api_download_thumbnail"];
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
         * Make Media Key
         * @description Get a key for the addresses of files.
         *
         *     Append it as `?key=` to `url` and `thumbnail_url`, for an `<img>` that cannot send a header. It
         *     is valid for one hour, ends with its session, and opens nothing else.
         */
        post: operations["messaging_attachments_api_make_media_key"];
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
         * Read Push Key
         * @description Read the key for subscribing.
         *
         *     Pass it to the browser's `pushManager.subscribe` as `applicationServerKey`.
         */
        get: operations["messaging_push_api_read_push_key"];
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
         * List Subscriptions
         * @description List your push subscriptions, newest first.
         *
         *     Those of all your sessions.
         */
        get: operations["messaging_push_api_list_subscriptions"];
        put?: never;
        /**
         * Add Subscription
         * @description Add a push subscription.
         *
         *     Send the JSON of the browser's `PushSubscription.toJSON()`. It belongs to your session and ends
         *     with it. For a known endpoint the answer is 200, and the subscription belongs to this session
         *     from now on.
         */
        post: operations["messaging_push_api_add_subscription"];
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
         * Delete Subscription
         * @description Delete a push subscription.
         *
         *     Nothing is pushed to it from then on.
         */
        delete: operations["messaging_push_api_delete_subscription"];
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
         *       "email": "ila@example.com",
         *       "id": 1,
         *       "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         *       "username": "ila"
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
         * ErrorOut
         * @description The answer of every error.
         *
         *     `code` is stable, `detail` is for people; 422 adds `errors`.
         */
        ErrorOut: {
            /** Code */
            code: string;
            /** Detail */
            detail: string;
            /** Errors */
            errors?: components["schemas"]["FieldErrorOut"][];
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
         * RegisterIn
         * @example {
         *       "email": "ila@example.com",
         *       "password": "password123",
         *       "username": "ila"
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
         * AccountOut
         * @example {
         *       "email": "ila@example.com",
         *       "id": 1,
         *       "username": "ila"
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
         *       "password": "password123",
         *       "username": "ila"
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
         *       "display_name": "Kaushal",
         *       "id": 2,
         *       "username": "kaushal"
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
         *       "display_name": "Ila P.",
         *       "email": "ila@example.com",
         *       "id": 1,
         *       "quiet_hours": null,
         *       "share_receipts": true,
         *       "username": "ila"
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
         *       "end": "07:00",
         *       "start": "22:00",
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
         *       "end": "07:00",
         *       "start": "22:00",
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
         *       "new_password": "a longer sentence",
         *       "old_password": "password123"
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "current": true,
         *       "id": 1,
         *       "ip": "192.0.2.7",
         *       "last_used_at": "2026-01-31T19:02:41.007Z",
         *       "user_agent": "Mozilla/5.0"
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "created_by": 1,
         *       "id": 1,
         *       "kind": "public",
         *       "last_seq": 12,
         *       "member_count": 2,
         *       "name": "sports",
         *       "title": "All about sports",
         *       "topic": "",
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
         *       "kind": "public",
         *       "name": "sports",
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "created_by": 1,
         *       "id": 2,
         *       "kind": "group",
         *       "last_seq": 0,
         *       "member_count": 2,
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ],
         *       "name": "friends",
         *       "title": "",
         *       "topic": "",
         *       "version": 0
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
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ],
         *       "name": "friends"
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
         *       "joined_at": "2026-01-31T18:21:00.000Z",
         *       "last_seen": "2026-01-31T19:02:41.007Z",
         *       "online": false,
         *       "role": "admin",
         *       "username": "kaushal"
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
         *       "delivered_seq": 12,
         *       "read_seq": 11,
         *       "user_id": 2,
         *       "username": "kaushal"
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
         *       "added_members": [
         *         "kaushal"
         *       ],
         *       "all_members": [
         *         "ila",
         *         "kaushal"
         *       ],
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
         *       }
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "created_by": 1,
         *       "id": 3,
         *       "kind": "private",
         *       "last_seq": 12,
         *       "member_count": 2,
         *       "members": [
         *         "ila",
         *         "kaushal"
         *       ],
         *       "name": null,
         *       "title": "",
         *       "topic": "",
         *       "version": 14
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
         *       "content_type": "image/jpeg",
         *       "height": 1200,
         *       "id": 1,
         *       "name": "beach.jpg",
         *       "size": 48213,
         *       "thumbnail_url": "/api/attachments/1/thumbnail",
         *       "url": "/api/attachments/1/content",
         *       "width": 1600
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
         *       "client_id": null,
         *       "content": "Hey everyone!",
         *       "deleted": false,
         *       "edited_at": null,
         *       "id": 1,
         *       "mentions": [],
         *       "mentions_all": false,
         *       "pinned": false,
         *       "quote": null,
         *       "reactions": [
         *         {
         *           "count": 1,
         *           "emoji": "👍",
         *           "users": [
         *             2
         *           ]
         *         }
         *       ],
         *       "receiver": null,
         *       "reply_to": null,
         *       "room": "sports",
         *       "room_id": 1,
         *       "sender": 1,
         *       "seq": 12,
         *       "timestamp": "2026-01-31T19:02:41.007Z",
         *       "username": "ila",
         *       "version": 14
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "created_by": 1,
         *       "id": 1,
         *       "kind": "public",
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
         *       },
         *       "last_read_seq": 12,
         *       "last_seq": 12,
         *       "member_count": 2,
         *       "mentions": 0,
         *       "muted": false,
         *       "muted_until": null,
         *       "name": "sports",
         *       "notify": "all",
         *       "role": "owner",
         *       "title": "All about sports",
         *       "topic": "",
         *       "unread": 0,
         *       "version": 14
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
         *       "content": "Hi!",
         *       "deleted": false,
         *       "id": 1,
         *       "sender": 2,
         *       "username": "kaushal"
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
         *       "count": 1,
         *       "emoji": "👍",
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
         *       "client_id": null,
         *       "content": "Hey everyone!",
         *       "deleted": false,
         *       "edited_at": null,
         *       "highlight": "<mark>Hey</mark> everyone!",
         *       "id": 1,
         *       "mentions": [],
         *       "mentions_all": false,
         *       "pinned": false,
         *       "quote": null,
         *       "reactions": [
         *         {
         *           "count": 1,
         *           "emoji": "👍",
         *           "users": [
         *             2
         *           ]
         *         }
         *       ],
         *       "receiver": null,
         *       "reply_to": null,
         *       "room": "sports",
         *       "room_id": 1,
         *       "sender": 1,
         *       "seq": 12,
         *       "timestamp": "2026-01-31T19:02:41.007Z",
         *       "username": "ila",
         *       "version": 14
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
         *       "expires_at": "2026-01-31T20:02:41.000Z",
         *       "key": "WzEsMiwxNzY5ODg5MzYxXQ.wsTvKU5L"
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
         *       "created_at": "2026-01-31T18:20:05.123Z",
         *       "endpoint": "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA",
         *       "id": 1
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
         *       "auth": "BTBZMqHH6r4Tts7J_aSIgg",
         *       "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
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
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    accounts_api_register: {
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
                    "application/json": components["schemas"]["RegisterOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_login: {
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
                    "application/json": components["schemas"]["LoginOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_refresh_tokens: {
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
                    "application/json": components["schemas"]["TokensOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_verify_token: {
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
                    "application/json": components["schemas"]["ValidOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_logout: {
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
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_list_users: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_read_profile: {
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
                    "application/json": components["schemas"]["MeOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_change_profile: {
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
                    "application/json": components["schemas"]["MeOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_change_password: {
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
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_list_sessions: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    accounts_api_end_session: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_list_rooms: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RoomOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_create_room: {
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
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_create_room_with_members: {
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
                    "application/json": components["schemas"]["RoomWithMembersOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_read_room: {
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
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_delete_room: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_change_room: {
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
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_join_room: {
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
                    "application/json": components["schemas"]["RoomOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_leave_room: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_list_members: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_list_receipts: {
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
                    "application/json": components["schemas"]["ReceiptOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_add_members: {
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
                    "application/json": components["schemas"]["AddedOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_remove_member: {
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
                    "application/json": components["schemas"]["RemovedOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_change_role: {
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
                    "application/json": components["schemas"]["MemberOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    rooms_api_open_private_room: {
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
                    "application/json": components["schemas"]["PrivateRoomOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_list_my_rooms: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MyRoomOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_change_my_room: {
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
                    "application/json": components["schemas"]["MyRoomOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_read_feed: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_send_to_room: {
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
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_read_messages: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_send_message: {
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
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_read_messages_alias: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_send_message_alias: {
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
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_read_history: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_mark_read: {
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
                    "application/json": components["schemas"]["ReadOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_api_mark_delivered: {
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
                    "application/json": components["schemas"]["DeliveredOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_search_api_search: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FoundMessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_delete_message: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_edit_message: {
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
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_add_reaction: {
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
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_remove_reaction: {
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
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_pin_message: {
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
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_unpin_message: {
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
                    "application/json": components["schemas"]["MessageOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_changes_api_list_pins: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessageOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_attachments_api_upload_attachment: {
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
                    "application/json": components["schemas"]["AttachmentOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Request Entity Too Large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unsupported Media Type */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Insufficient Storage */
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
    messaging_attachments_api_read_attachment: {
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
                    "application/json": components["schemas"]["AttachmentOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_attachments_api_delete_attachment: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_attachments_api_download_attachment: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Requested Range Not Satisfiable */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_attachments_api_download_thumbnail: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Requested Range Not Satisfiable */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_attachments_api_make_media_key: {
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
                    "application/json": components["schemas"]["MediaKeyOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_push_api_read_push_key: {
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
                    "application/json": components["schemas"]["PushKeyOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_push_api_list_subscriptions: {
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
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SubscriptionOut"][];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_push_api_add_subscription: {
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
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SubscriptionOut"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SubscriptionOut"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
    messaging_push_api_delete_subscription: {
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
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorOut"];
                };
            };
        };
    };
}
