"""Opens the sessions of concurrent logins in one transaction.

A commit waits for the disk, and SQLite has one at a time: eight logins waited for eight of them.
The first thread that gets the lock stores what waits then; the others find their session stored.
By hand: the ORM's query and insert were half of a login without its hash.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from .kernel.db import writing
from .kernel.db_connections import release_connection
from .kernel.errors import Busy
from .models import Session, User
from .sessions import new_session

LOCK_TIMEOUT = 20.0
MAX_BATCH_SIZE = 100
"""Threads that wait are bounded by the limit on requests."""


@dataclass(slots=True, eq=False)
class Login:
    """A login whose password was right; no `session` if the account has changed."""

    user: User
    address: str | None
    user_agent: str
    session: Session | None = None
    error: Exception | None = None
    is_done: bool = False


class LoginBatches:
    """Used by the threads of requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Login] = []
        self._waiting_lock = threading.Lock()

    def open_session(self, user: User, address: str | None, user_agent: str) -> Session | None:
        """Opens a session, unless the password changed or all sessions ended meanwhile.

        Raises Busy when other logins take too long.
        """
        login = Login(user, address, user_agent)
        with self._waiting_lock:
            self._waiting.append(login)
        # The thread that stores this login needs a connection of the pool.
        release_connection()
        if not self._lock.acquire(timeout=LOCK_TIMEOUT):
            with self._waiting_lock:
                if login in self._waiting:
                    self._waiting.remove(login)
            raise Busy
        try:
            if not login.is_done:
                self._store_waiting(login)
        finally:
            self._lock.release()
        if login.error is not None:
            raise login.error
        return login.session

    def _store_waiting(self, own: Login) -> None:
        with self._waiting_lock:
            self._waiting.remove(own)
            batch = [own, *self._waiting[: MAX_BATCH_SIZE - 1]]
            del self._waiting[: MAX_BATCH_SIZE - 1]
        try:
            with writing():
                _store(batch)
        except Exception as error:  # noqa: BLE001 - each thread of the batch raises it
            for login in batch:
                login.session, login.error = None, error
        finally:
            for login in batch:
                login.is_done = True


login_batches = LoginBatches()

# Compares the stamp, not the hash: a concurrent login may have renewed the hash. The lock is in the
# order of ids, so that two processes cannot deadlock.
SELECT_UNCHANGED = (
    "WITH asked (id, stamp) AS (VALUES {asked}) SELECT u.id, u.security_stamp"
    " FROM asked CROSS JOIN accounts_user u"
    " WHERE u.id = asked.id AND u.security_stamp = asked.stamp AND u.is_active"
)
IN_ORDER_AND_LOCKED = " ORDER BY u.id FOR UPDATE OF u"
INSERT_SESSIONS = (
    "INSERT INTO accounts_session (user_id, created_at, last_used_at, rotated_at, user_agent, ip,"
    " refresh_jti, replaced) VALUES {rows} RETURNING refresh_jti, id"
)


def _store(batch: Sequence[Login]) -> None:
    """Stores sessions for logins whose account has not changed, inside a transaction."""
    now = timezone.now()
    with connection.cursor() as cursor:
        unchanged = _unchanged(cursor, batch)
        opened = [
            (login, new_session(login.user.pk, login.address, login.user_agent, now))
            for login in batch
            if (login.user.pk, login.user.security_stamp) in unchanged
        ]
        if not opened:
            return
        moment = connection.ops.adapt_datetimefield_value(now)
        rows = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, '[]')"] * len(opened))
        cursor.execute(
            INSERT_SESSIONS.format(rows=rows),
            [value for _, session in opened for value in _values(session, moment)],
        )
        ids = dict(cursor.fetchall())
    for login, session in opened:
        session.pk = ids[session.refresh_jti]
        login.session = session


def _unchanged(cursor: Any, batch: Sequence[Login]) -> set[tuple[int, str]]:
    asked = {(login.user.pk, login.user.security_stamp) for login in batch}
    statement = SELECT_UNCHANGED.format(asked=", ".join(["(%s, %s)"] * len(asked)))
    if connection.features.has_select_for_update:
        statement += IN_ORDER_AND_LOCKED
    cursor.execute(statement, [value for pair in asked for value in pair])
    return set(cursor.fetchall())


def _values(session: Session, moment: Any) -> tuple[Any, ...]:
    address = Session._meta.get_field("ip").get_prep_value(session.ip)
    return (
        *(session.user_id, moment, moment, moment),
        *(session.user_agent, address, session.refresh_jti),
    )
