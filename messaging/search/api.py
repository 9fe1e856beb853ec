"""Searches messages over HTTP (contract §6)."""

from typing import Annotated

from django.http import HttpResponse
from ninja import Query, Router

from accounts.auth import Bearer, Request
from accounts.kernel.errors import Forbidden, Refusals
from accounts.kernel.fields import MAX_ID, Moment, NameInPath, SearchText, answers
from accounts.kernel.json_answers import json_answer
from accounts.kernel.pagination import Cursor, Limit, write_links
from messaging.schemas import FoundMessageOut
from rooms.errors import REMOVED, NoSuchRoom
from rooms.selectors import RoomAccess, room_access, room_access_by_name

from .selectors import Has, Search, search_messages

router = Router(tags=["Messages"], auth=Bearer())

WORDS_TO_FIND = (
    "All words must be in a message, in any order; those in quotation marks in this order. `-word` "
    "excludes a word. The last word may be the start of one"
)
SEARCH_PAGING = frozenset({"cursor", "limit"})


@router.get(
    "/search",
    response=answers({200: list[FoundMessageOut]}, 401, 403, 404, 422),
)
def search(  # noqa: PLR0913, PLR0917 - the parameters of the query string
    request: Request,
    q: Annotated[SearchText, Query("", description=WORDS_TO_FIND)] = "",
    room: Annotated[
        NameInPath | None,
        Query(None, description="Only this room: an id, or a name that is no number"),
    ] = None,
    sender: Annotated[
        NameInPath | None, Query(None, alias="from", description="Only messages of this username")
    ] = None,
    before: Annotated[
        Moment | None, Query(None, description="Only messages before this time")
    ] = None,
    after: Annotated[
        Moment | None, Query(None, description="Only messages from this time on")
    ] = None,
    has: Annotated[
        Has | None, Query(None, description="Only with a file, an image or a link")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Search the messages of all rooms that you may read.

    The newest come first. Case and accents are ignored. `highlight` is HTML that is safe to insert:
    an excerpt of the text with the matches in `<mark>`. `Link` has a `next` only. A page reads a
    limited number of messages, so it can be short or empty: as long as `Link` has a `next`, there
    may be older ones.
    """
    user_id = request.auth.user_id
    search = Search(
        user_id=user_id,
        text=q,
        room=_searched_room(user_id, room) if room is not None else None,
        sender=sender,
        before=before,
        after=after,
        has=has,
    )
    found = search_messages(search, cursor=cursor, limit=limit)
    response = json_answer(found.messages)
    write_links(request, response, found.links, paging=SEARCH_PAGING)
    return response


def _searched_room(user_id: int, room: str) -> RoomAccess:
    if not (room.isascii() and room.isdigit()):
        return room_access_by_name(user_id, room)
    if int(room) > MAX_ID:
        raise NoSuchRoom
    return room_access(user_id, int(room))


REFUSALS: Refusals = {search: [NoSuchRoom(), Forbidden(REMOVED)]}
