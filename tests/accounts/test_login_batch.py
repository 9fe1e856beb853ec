"""Concurrent logins share one transaction, and each gets its own outcome."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection

from accounts import login_batch as module
from accounts.kernel import db
from accounts.login_batch import LoginBatches
from accounts.models import Session, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


class SlowCommits:
    """Counts transactions; the first one waits until `others` logins wait."""

    def __init__(self, others: int, error: Exception | None = None) -> None:
        self.count = 0
        self._error = error
        self._all_wait = threading.Barrier(others + 1)

    def arrive(self) -> None:
        self._all_wait.wait(10)

    @contextmanager
    def writing(self) -> Iterator[None]:
        self.count += 1
        if self.count == 1:
            self.arrive()
        if self._error is not None:
            raise self._error
        with real_writing():
            yield


real_writing = db.writing


def logged_in(
    batches: LoginBatches, commits: SlowCommits, users: list[User]
) -> list[Session | None]:
    first, *others = users

    def log_in(user: User, *, arrives: bool) -> Session | None:
        if arrives:
            threading.Timer(0.2, commits.arrive).start()
        try:
            return batches.open_session(user, "192.0.2.1", "agent")
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as threads:
        begun = threads.submit(log_in, first, arrives=False)
        while not commits.count:
            threading.Event().wait(0.01)
        waiting = [threads.submit(log_in, user, arrives=True) for user in others]
        return [one.result(20) for one in (begun, *waiting)]


def test_logins_that_wait_share_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [make_user() for _ in range(6)]
    commits = SlowCommits(others=5)
    monkeypatch.setattr(module, "writing", commits.writing)
    sessions = logged_in(LoginBatches(), commits, users)
    assert commits.count == 2
    stored = {one.pk: one for one in Session.objects.all()}
    for user, session in zip(users, sessions, strict=True):
        assert session is not None
        row = stored[session.pk]
        assert (row.user_id, row.refresh_jti) == (user.pk, session.refresh_jti)
        assert (row.rotated_at, row.replaced, row.ip) == (session.rotated_at, [], "192.0.2.1")


def test_changed_account_gets_no_session_and_others_of_the_batch_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = [make_user() for _ in range(4)]
    User.objects.filter(pk=users[2].pk).update(security_stamp="changed")
    User.objects.filter(pk=users[3].pk).update(is_active=False)
    commits = SlowCommits(others=3)
    monkeypatch.setattr(module, "writing", commits.writing)
    sessions = logged_in(LoginBatches(), commits, users)
    assert [one is not None for one in sessions] == [True, True, False, False]


def test_error_of_a_batch_reaches_its_login_and_the_next_login_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches, user = LoginBatches(), make_user()
    commits = SlowCommits(others=0, error=DatabaseError("full"))
    monkeypatch.setattr(module, "writing", commits.writing)
    with pytest.raises(DatabaseError):
        batches.open_session(user, None, "")
    monkeypatch.setattr(module, "writing", real_writing)
    assert batches.open_session(user, None, "a\x00b") is not None
