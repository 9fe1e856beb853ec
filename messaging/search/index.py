"""Keeps the full-text index: FTS5 on SQLite, GIN on PostgreSQL.

PostgreSQL indexes an expression and needs no help. SQLite's FTS5 costs 50 µs for each transaction
that writes to it, twice what a message costs. So a batch that passes a multiple of INDEXING_STEP
indexes all messages since the last one. Searches look at the newest messages without the index
anyway: see `selectors`.

Triggers keep FTS5 up to date when an indexed text changes or disappears. They are no way to insert:
each call of a trigger flushes the index, which costs 30 µs.
"""

from typing import Any

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

INDEXING_STEP = 512
"""Messages that are indexed together: 4 µs for each. Senders wait 10 ms meanwhile."""
MAX_INDEXED = 8 * INDEXING_STEP
"""Ids that one batch reads, after messages were stored by other ways than the writer."""


def room_token(room_id: int) -> str:
    """No word of a message has an underscore."""
    return f"r_{room_id}"


def sender_token(user_id: int) -> str:
    return f"u_{user_id}"


_ENTRY = "{row}.words || 'r_' || {row}.room_id || ' u_' || {row}.sender_id"
_FORGET = (
    "INSERT INTO messaging_words (messaging_words, rowid, words)"
    f" SELECT 'delete', old.id, {_ENTRY.format(row='old')} WHERE old.words <> ''"
)
_IS_INDEXED = "old.id <= (SELECT id FROM messaging_indexed)"
# Contentless, because texts and tokens can be had from the row; without places of words, because
# phrases are compared with the row. The ASCII tokenizer leaves all other characters as they are.
ON_SQLITE = (
    """
    CREATE VIRTUAL TABLE messaging_words USING fts5 (
        words, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '_'"
    )
    """,
    "CREATE TABLE messaging_indexed (id integer NOT NULL)",
    "INSERT INTO messaging_indexed VALUES (0)",
    f"""
    CREATE TRIGGER messaging_words_delete AFTER DELETE ON messaging_message WHEN {_IS_INDEXED}
    BEGIN {_FORGET}; END
    """,
    f"""
    CREATE TRIGGER messaging_words_update AFTER UPDATE OF words ON messaging_message
    WHEN {_IS_INDEXED} AND old.words <> new.words
    BEGIN
        {_FORGET};
        INSERT INTO messaging_words (rowid, words)
        SELECT new.id, {_ENTRY.format(row="new")} WHERE new.words <> '';
    END
    """,
)
# In PL/pgSQL and with a high cost: the planner would inline a function in SQL, and take computing
# this for a million rows to be as cheap as using the index. Not parallel safe: PostgreSQL would
# start processes to read 20 hits, which takes five times as long. The pending list is searched
# entry by entry, so it is kept short.
ON_POSTGRESQL = (
    """
    CREATE FUNCTION messaging_lexemes (words text, room_id bigint, sender_id bigint)
    RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED COST 1000 AS $$ BEGIN
        RETURN array_to_tsvector(
            string_to_array(btrim(words), ' ')
            || ARRAY['r_' || room_id::text, 'u_' || sender_id::text]
        );
    END $$
    """,
    """
    CREATE INDEX messaging_words ON messaging_message
    USING gin (messaging_lexemes(words, room_id, sender_id))
    WITH (gin_pending_list_limit = 512) WHERE words <> ''
    """,
)
REMOVE_ON_SQLITE = (
    "DROP TRIGGER messaging_words_update",
    "DROP TRIGGER messaging_words_delete",
    "DROP TABLE messaging_indexed",
    "DROP TABLE messaging_words",
)
REMOVE_ON_POSTGRESQL = (
    "DROP INDEX messaging_words",
    "DROP FUNCTION messaging_lexemes (text, bigint, bigint)",
)


def create_index(_apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    """Creates the index, in the migration that creates messages.

    A later migration that makes SQLite rebuild `messaging_message` must create the triggers again.
    """
    is_sqlite = editor.connection.vendor == "sqlite"
    for statement in ON_SQLITE if is_sqlite else ON_POSTGRESQL:
        editor.execute(statement)


def remove_index(_apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    is_sqlite = editor.connection.vendor == "sqlite"
    for statement in REMOVE_ON_SQLITE if is_sqlite else REMOVE_ON_POSTGRESQL:
        editor.execute(statement)


def index_new_messages(cursor: Any, first_id: int, last_id: int) -> None:
    """Indexes new messages when the batch passes an INDEXING_STEP."""
    if connection.vendor != "sqlite" or (first_id - 1) // INDEXING_STEP == last_id // INDEXING_STEP:
        return
    cursor.execute("SELECT id FROM messaging_indexed")
    (indexed,) = cursor.fetchone()
    until = min(last_id, indexed + MAX_INDEXED)
    cursor.execute(
        "INSERT INTO messaging_words (rowid, words)"  # noqa: S608
        f" SELECT m.id, {_ENTRY.format(row='m')} FROM messaging_message m"
        " WHERE m.id > %s AND m.id <= %s AND m.words <> '' ORDER BY m.id",
        [indexed, until],
    )
    cursor.execute("UPDATE messaging_indexed SET id = max(id, %s)", [until])


def indexed_until(cursor: Any) -> int | None:
    """Returns the id up to which messages are indexed; None means all."""
    if connection.vendor != "sqlite":
        return None
    cursor.execute("SELECT id FROM messaging_indexed")
    until: int = cursor.fetchone()[0]
    return until
