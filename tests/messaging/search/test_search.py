"""Search finds what a caller can read, on both databases, also without an index."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden, Invalid
from messaging import deletion, editing, reactions
from messaging.models import Message
from messaging.search import index, selectors
from messaging.search.query import parse_query
from messaging.search.selectors import Search, search_messages
from messaging.search.words import stored_words
from rooms import membership
from rooms.models import Room, RoomKind
from rooms.selectors import room_access
from rooms.services import delete_room
from tests.factories import (
    commits,
    draft,
    make_caller,
    make_member,
    make_private_room,
    make_room,
    make_user,
    store_message,
    store_now,
)
from tests.query_plans.measure import counted

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


@pytest.fixture(params=["walk", "index"], autouse=True)
def _step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds everything by the walk, or all but the newest message by the index."""
    if request.param == "index":
        monkeypatch.setattr(selectors, "WALK", 1)
        monkeypatch.setattr(index, "INDEXING_STEP", 1)


def texts(caller: Caller, text: str = "", room: Room | None = None, **wanted: Any) -> list[str]:
    access = room_access(caller.user_id, room.pk) if room else None
    search = Search(caller.user_id, text, access, **wanted)
    return [found["content"] for found in search_messages(search, cursor=None, limit=50).messages]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("river", "The river bank"),
        ("RÍVER", "The river bank"),
        ("bank river", "The river bank"),
        ('"river bank"', "The river bank"),
        ('"bank river"', None),
        ("riv", "The river bank"),
        ("riv bank", None),
        ("river -boat", "The river bank"),
        ("river -bank", None),
        ('river -"the river"', None),
        ("strasse", "Große Straße"),
        ("grosse", "Große Straße"),
        ("große", "Große Straße"),
        ("京", "東京 2026"),
        ("2026", "東京 2026"),
        ("absent", None),
        ("…", None),
    ],
)
def test_words_phrases_exclusions_and_prefixes(
    ila: Caller, room: Room, query: str, found: str | None
) -> None:
    for text in ("The river bank", "Große Straße", "東京 2026", "the newest"):
        store_message(ila, room, text)
    assert texts(ila, query) == ([found] if found else [])
    assert texts(ila, query, room) == ([found] if found else [])


@pytest.mark.parametrize(
    "query",
    [
        "words:*",
        "river*",
        "^river",
        "river OR bank",
        "NEAR(river bank, 2)",
        "{words} : river",
        "river & !bank",
        "river | bank",
        "river <-> bank",
        "ri'ver:*",
        "river\\",
        "'; DROP TABLE messaging_message; --",
        "r_1",
        "%",
        "_iver",
        "\x01",
        '"""',
        "((((",
        "-" * 200,
    ],
)
def test_operators_of_the_engines_are_plain_text(ila: Caller, room: Room, query: str) -> None:
    for text in ("the river bank", "the newest"):
        store_message(ila, room, text)
    words = [term.stored for term in parse_query(query)]
    expected = bool(words) and all(word in " the river bank " for word in words)
    assert texts(ila, query) == (["the river bank"] if expected else [])


def test_results_are_newest_first_and_paged_without_gaps(ila: Caller, room: Room) -> None:
    for number in range(25):
        store_message(ila, room, f"number {number}{' odd' if number % 2 else ''}")
    for where in (None, room_access(ila.user_id, room.pk)):
        search, seen, cursor = Search(ila.user_id, "odd", where), [], None
        while True:
            page = search_messages(search, cursor=cursor, limit=5)
            seen += [found["content"] for found in page.messages]
            if not page.links:
                break
            assert len(page.messages) == 5
            cursor = page.links["next"]["cursor"]
        assert seen == [f"number {number} odd" for number in range(23, 0, -2)]


def test_pages_end_early_by_bytes(ila: Caller, room: Room, settings: Settings) -> None:
    for number in range(4):
        store_message(ila, room, f"{number} " + "long " * 500)
    settings.CHAT_PAGE_BYTES = 8_000
    page = search_messages(Search(ila.user_id, "long"), cursor=None, limit=50)
    assert [found["content"][0] for found in page.messages] == ["3", "2"]
    rest = search_messages(
        Search(ila.user_id, "long"), cursor=page.links["next"]["cursor"], limit=50
    )
    assert [found["content"][0] for found in rest.messages] == ["1", "0"]


def test_a_foreign_cursor_is_refused(ila: Caller, room: Room) -> None:
    with pytest.raises(Invalid):
        search_messages(Search(ila.user_id, "a"), cursor="bm9uc2Vuc2U", limit=5)


def test_only_rooms_that_the_caller_can_read_now_are_searched(ila: Caller, friend: Caller) -> None:
    stranger = make_caller(make_user("stranger"))
    group = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[friend.user_id])
    public = make_room(owner=[ila.user_id])
    private = make_private_room(ila.user_id, make_user("kaushal"))
    deleted = make_room(owner=[ila.user_id])
    for where, room in (
        ("group", group),
        ("public", public),
        ("private", private),
        ("gone", deleted),
    ):
        store_message(ila, room, f"secret of {where}")
    store_message(ila, make_room(owner=[ila.user_id]), "newest")
    delete_room(user_id=ila.user_id, room_id=deleted.pk)

    assert texts(ila, "secret") == ["secret of private", "secret of public", "secret of group"]
    assert texts(friend, "secret") == ["secret of public", "secret of group"]
    assert texts(stranger, "secret") == ["secret of public"]

    membership.remove_member(user_id=ila.user_id, room_id=group.pk, username="friend")
    assert texts(friend, "secret") == ["secret of public"]
    membership.remove_member(user_id=ila.user_id, room_id=public.pk, username="friend")
    assert texts(friend, "secret") == []
    with pytest.raises(Forbidden):
        texts(friend, "secret", public)
    make_member(group, stranger.user_id)
    assert texts(stranger, "secret") == ["secret of public", "secret of group"]


def test_members_of_more_rooms_than_a_query_names_find_the_same(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_room(RoomKind.GROUP, owner=[ila.user_id])
    foreign = make_caller()
    hidden = make_room(RoomKind.GROUP, owner=[foreign.user_id])
    store_message(ila, room, "one word")
    store_message(foreign, hidden, "hidden word")
    store_message(ila, other, "another word")
    store_message(ila, other, "newest")
    named = texts(ila, "word")
    monkeypatch.setattr(selectors, "MAX_ROOM_TOKENS", 1)
    assert texts(ila, "word") == named == ["another word", "one word"]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each page read 2 messages by the walk, and 4 older ones."""
    small = {"WALK": 2, "MAX_WALK": 4, "MAX_READ": 4, "SAMPLE": 2, "MAX_MATCHES": 4}
    for name, value in (*small.items(), ("MAX_ROOM_TOKENS", 0)):
        monkeypatch.setattr(selectors, name, value)


def pages_of(search: Search, limit: int = 3) -> list[list[str]]:
    """Returns the texts of all pages, by their links."""
    pages, cursor = list[list[str]](), None
    while len(pages) < 100:
        page = search_messages(search, cursor=cursor, limit=limit)
        pages.append([found["content"] for found in page.messages])
        if not page.links:
            break
        cursor = page.links["next"]["cursor"]
    return pages


def test_many_excluded_words_are_compared_with_fewer_messages(
    ila: Caller, room: Room, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "WALK", 4)
    monkeypatch.setattr(selectors, "MAX_READ", 4)
    for number in range(12):
        store_message(ila, room, f"word {number}")
    expected = [f"word {number}" for number in range(12)][::-1]
    pages = []
    for count in (4, 16):
        excluded = " ".join(f"-absent{number}" for number in range(count))
        found = pages_of(Search(ila.user_id, excluded), limit=50)
        assert [text for page in found for text in page] == expected
        pages.append(len(found))
    assert pages[1] > pages[0]


@pytest.mark.parametrize("text", ["", "word", '"a word"', "-absent wo"])
@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_page_reads_a_limited_number_of_messages_and_links_on(
    ila: Caller,
    room: Room,
    small_steps: None,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    is_indexed: bool,
) -> None:
    monkeypatch.setattr(index, "INDEXING_STEP", 1 if is_indexed else 512)
    foreign = make_caller()
    hidden = make_room(RoomKind.GROUP, owner=[foreign.user_id])
    expected = []
    for number in range(60):
        is_readable = number in {0, 7, 8, 9, 10, 11, 12, 30, 59}
        content = f"a word {number}"
        store_message(ila if is_readable else foreign, room if is_readable else hidden, content)
        expected += [content] * is_readable
    pages = pages_of(Search(ila.user_id, text))
    assert [one for page in pages for one in page] == expected[::-1]
    assert max(map(len, pages)) == 3
    assert 10 <= len(pages) <= 60 / 4
    theirs = [one for page in pages_of(Search(foreign.user_id, text)) for one in page]
    assert len(theirs) == 60 - len(expected)


def test_a_search_of_a_room_without_an_index_links_on(
    ila: Caller, room: Room, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INDEXING_STEP", 512)
    for number in range(40):
        store_message(ila, room, f"{'odd' if number % 8 == 1 else 'even'} {number}")
        store_message(ila, make_room(owner=[ila.user_id]), "odd elsewhere")
    pages = pages_of(Search(ila.user_id, "odd", room_access(ila.user_id, room.pk)))
    assert [one for page in pages for one in page] == [f"odd {n}" for n in (33, 25, 17, 9, 1)]


def test_ids_that_were_never_used_take_no_pages(ila: Caller, room: Room, small_steps: None) -> None:
    first = store_message(ila, room, "first")
    Message.objects.filter(pk=first.id).update(id=first.id + 10_000)
    assert pages_of(Search(make_caller().user_id)) == [[]]
    store_message(ila, room, "second")
    assert len(pages_of(Search(make_caller().user_id))) <= 4


@pytest.mark.skipif(connection.vendor != "sqlite", reason="its steps can be counted")
@pytest.mark.parametrize("text", ["", '"hidden"', '"a hidden"'])
def test_a_page_reads_no_more_where_others_wrote_more(
    ila: Caller, room: Room, small_steps: None, text: str
) -> None:
    foreign, reader = make_caller(), make_caller()
    hidden = make_room(RoomKind.GROUP, owner=[foreign.user_id])

    def steps_with(messages: int) -> int:
        store_now(*(draft(foreign, hidden, "a hidden message") for _ in range(messages)))
        return counted(lambda: search_messages(Search(reader.user_id, text), cursor=None, limit=50))

    few = steps_with(600)
    assert steps_with(1200) <= few * 1.1 + 100


def test_edits_and_deletions_change_what_is_found(ila: Caller, room: Room) -> None:
    first, second = store_message(ila, room, "apple pie"), store_message(ila, room, "apple juice")
    store_message(ila, room, "newest")
    editing.edit_message(caller=ila, room_id=room.pk, message_id=first.id, content="pear pie")
    assert texts(ila, "apple") == ["apple juice"]
    assert texts(ila, "pear") == texts(ila, '"pear pie"', room) == ["pear pie"]
    reactions.add_reaction(caller=ila, room_id=room.pk, message_id=first.id, emoji="👍")
    assert texts(ila, "pear") == ["pear pie"]
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=second.id)
    assert texts(ila, "apple") == []
    assert not Message.objects.filter(words__contains="apple").exists()
    Message.objects.filter(pk=first.id).delete()
    assert texts(ila, "pear") == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL maintains its own index")
def test_deleted_words_leave_the_index_of_sqlite(ila: Caller, room: Room) -> None:
    first = store_message(ila, room, "apple")
    rows = [store_message(ila, room, "apple"), store_message(ila, room, "banana")]
    for _ in range(index.INDEXING_STEP):
        store_message(ila, room, "cherry")
    assert index_rows("apple") == [first.id, rows[0].id]
    editing.edit_message(caller=ila, room_id=room.pk, message_id=first.id, content="lemon")
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=rows[0].id)
    assert (index_rows("apple"), index_rows("lemon")) == ([], [first.id])
    Message.objects.filter(room=room).delete()
    assert index_rows("banana") == index_rows("cherry") == index_rows(f"r_{room.pk}") == []
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO messaging_words (messaging_words) VALUES ('integrity-check')")


def index_rows(word: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rowid FROM messaging_words WHERE messaging_words MATCH %s ORDER BY 1",
            [f'"{word}"'],
        )
        return [pk for (pk,) in cursor.fetchall()]


def test_filters_by_room_sender_time_and_link(ila: Caller, friend: Caller, room: Room) -> None:
    other = make_room(RoomKind.GROUP, owner=[ila.user_id])
    old = store_message(ila, room, "see https://example.com/page")
    store_message(friend, room, "see the http protocol")
    store_message(ila, other, "see you")
    store_message(ila, other, "newest")
    day = timedelta(days=1)
    Message.objects.filter(pk=old.id).update(created_at=old.timestamp - day)
    half = old.timestamp - day / 2
    assert texts(ila, "see", room) == ["see the http protocol", "see https://example.com/page"]
    assert texts(ila, "see", sender="FRIEND") == ["see the http protocol"]
    assert texts(ila, "see", sender="nobody") == []
    assert texts(ila, "see", has="link") == texts(ila, has="link")
    assert texts(ila, has="link") == ["see https://example.com/page"]
    assert texts(ila, "see", before=half) == texts(ila, "see", room, before=half)
    assert texts(ila, "see", before=half) == ["see https://example.com/page"]
    assert texts(ila, "see", after=half) == ["see you", "see the http protocol"]
    assert texts(ila, "see", room, after=half) == ["see the http protocol"]
    assert texts(ila, "see", after=half, before=half) == []
    assert texts(ila, sender="friend") == ["see the http protocol"]
    assert texts(ila, "-protocol", room) == ["see https://example.com/page"]
    assert texts(ila, "-see") == ["newest"]


@pytest.mark.parametrize("step", [1, 512])
def test_messages_with_files_and_images_are_found(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(index, "INDEXING_STEP", step)
    kinds = {"photo": ["image/png"], "paper": ["application/pdf"], "both": ["a/b", "image/gif"]}
    for text, types in kinds.items():
        files = [{"content_type": kind} for kind in types]
        row = store_message(ila, room, text)
        words = stored_words(text, files)
        Message.objects.filter(pk=row.id).update(words=words, attachments=files)
    store_message(ila, room, "_file _image file image")
    for where in (None, room):
        assert texts(ila, "", where, has="file") == ["both", "paper", "photo"]
        assert texts(ila, "", where, has="image") == ["both", "photo"]
        assert texts(ila, "ph", where, has="image") == ["photo"]
        assert texts(ila, "fi", where) == ["_file _image file image"]


def test_times_bound_a_long_room(ila: Caller, room: Room) -> None:
    rows = [store_message(ila, room, f"step {number}") for number in range(40)]
    for number, row in enumerate(rows):
        moment = rows[0].timestamp + timedelta(hours=number)
        Message.objects.filter(pk=row.id).update(created_at=moment)
    since = rows[0].timestamp + timedelta(hours=10, minutes=1)
    until = rows[0].timestamp + timedelta(hours=13, minutes=1)
    for where in (room, None):
        assert texts(ila, "step", where, after=since, before=until) == [
            "step 13",
            "step 12",
            "step 11",
        ]


def test_both_steps_find_what_a_plain_comparison_finds(ila: Caller, room: Room) -> None:
    dice = random.Random(7)
    words = ["alpha", "beta", "gamma", "al", "delta-beta", "épsilon"]
    contents = [" ".join(dice.choices(words, k=dice.randint(1, 5))) for _ in range(150)]
    store_now(*(draft(ila, room, text) for text in contents))
    for _ in range(60):
        query = " ".join(
            dice.choice(["{}", "{}", '"{} beta"', "-{}"]).format(dice.choice(words))
            for _ in range(dice.randint(1, 3))
        )
        terms = parse_query(query)
        expected = [
            text
            for text in reversed(contents)
            if all((one.stored in stored_words(text)) != one.is_excluded for one in terms)
        ]
        search = Search(ila.user_id, query)
        found = search_messages(search, cursor=None, limit=200).messages
        assert [one["content"] for one in found] == expected, query


def test_a_page_costs_a_bounded_number_of_statements(
    ila: Caller, room: Room, django_assert_max_num_queries: Any
) -> None:
    for _ in range(60):
        store_message(ila, room, "word")
    with django_assert_max_num_queries(8):
        assert len(texts(ila, "word")) == 50


@pytest.mark.parametrize(
    ("found", "missing", "left", "further"),
    [
        (0, 50, 10**6, 0),  # rare: the index finds the few
        (2, 49, 10**6, 0),  # filling the page would take the walk through 125,000 messages
        (20, 31, 10**6, 7936),
        (49, 2, 10**6, 209),
        (20, 31, 900, 0),  # the index finds four more
    ],
)
def test_walk_goes_on_where_the_index_would_find_thousands(
    found: int, missing: int, left: int, further: int
) -> None:
    walk = selectors._further_walk(4096, found, missing, left, selectors.MAX_WALK)
    assert walk == further


def test_further_walk_and_index_find_the_same(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(120):
        store_message(ila, room, f"number {number} " + ("odd" if number % 2 else "even"))
    monkeypatch.setattr(selectors, "WALK", 10)
    for most in (0, 40, 1000):
        monkeypatch.setattr(selectors, "MAX_WALK", most)
        found = texts(ila, "odd number", room)
        assert found == [f"number {number} odd" for number in range(119, 19, -2)]
        assert texts(ila, "odd number") == found
