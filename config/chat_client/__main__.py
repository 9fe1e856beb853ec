"""Runs the client: `python -m config.chat_client ila --room friends`.

With `--token` it prints an access token alone.
"""

import argparse
import asyncio
import getpass
import os
import sys

from .account import DEVELOPMENT_PASSWORD, Account, LoginFailed
from .chat import Chat
from .keyboard import is_terminal
from .rest import Refused, Rest, Unreachable
from .room import RoomAddress, create_group
from .screen import Screen

EXAMPLE = "make chat NAME=ila ROOM=friends"


class Failure(Exception):
    """Ends the client; the text has the problem and its remedy."""


def main() -> int:
    options = _parse()
    try:
        return _run(options)
    except (Failure, LoginFailed) as failure:
        Screen(prompt=False)  # so that unprintable characters in the next line are escaped
        sys.stderr.write(f"{failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the pipe has ended, as in `make chat ... | head`. Prevents an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.chat_client", description=__doc__)
    parser.add_argument("name", help="a username or e-mail address; registered if free")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="URL of the server")
    parser.add_argument("--room", default="", help="a public room, created if missing")
    parser.add_argument("--group", default="", help="a group")
    parser.add_argument(
        "--members", default="", help="usernames with commas: creates the group, or adds them"
    )
    parser.add_argument("--to", default="", help="a user, for a private room")
    parser.add_argument("--token", action="store_true", help="print an access token and exit")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    if not options.name:
        raise Failure(f"NAME is missing, as in: {EXAMPLE}")
    room = _room(options)
    rest = _rest(options.url)
    try:
        account = Account(rest, options.name, _password(rest))
        registered = account.log_in_or_register()
        if options.token:
            sys.stdout.write(f"{account.access}\n")
            return 0
        return _chat(rest, account, room, options, registered=registered)
    except Unreachable:
        raise Failure(
            f"No server answers at {options.url}. Start it in another terminal, with: make run"
        ) from None
    except Refused as refusal:
        hint = " They register with: make chat NAME=..." if refusal.code == "unknown_users" else ""
        raise Failure(f"{refusal}.{hint}") from None


def _chat(
    rest: Rest,
    account: Account,
    room: RoomAddress,
    options: argparse.Namespace,
    *,
    registered: bool,
) -> int:
    screen = Screen(prompt=is_terminal())
    try:
        if registered:
            screen.show(f"-- Registered {account.username}{_password_note()}")
        members = [name for name in options.members.replace(",", " ").split() if name]
        if members:
            added = create_group(account, room.name, members)
            if added:
                screen.show(f"-- Added to {room.name}: {', '.join(added)}")
        return asyncio.run(_run_chat(rest, account, room, screen))
    finally:
        screen.close()
        account.log_out()


async def _run_chat(rest: Rest, account: Account, room: RoomAddress, screen: Screen) -> int:
    return await Chat(rest, account, room, screen).run()


def _room(options: argparse.Namespace) -> RoomAddress:
    chosen = [
        RoomAddress(kind, name)
        for kind, name in (
            ("public", options.room),
            ("group", options.group),
            ("private", options.to),
        )
        if name
    ]
    if len(chosen) > 1:
        raise Failure("Use only one of ROOM=, GROUP= and TO=")
    if options.members and not options.group:
        raise Failure("MEMBERS= needs a group, as in: GROUP=friends MEMBERS=kaushal")
    return chosen[0] if chosen else RoomAddress("public", "lobby")


def _rest(url: str) -> Rest:
    try:
        return Rest(url)
    except ValueError as error:
        raise Failure(f"{error}.") from None


def _password(rest: Rest) -> str:
    """Returns PASSWORD.

    Arguments are not used: other users of the machine can see them.
    """
    given = os.environ.get("PASSWORD", "")
    if given:
        return given
    if rest.is_local:
        return DEVELOPMENT_PASSWORD
    if not sys.stdin.isatty():
        raise Failure(f"Set the password for {rest.url} as PASSWORD=...")
    return getpass.getpass(f"Password for {rest.url}: ")


def _password_note() -> str:
    if os.environ.get("PASSWORD"):
        return ""
    return f" with the password {DEVELOPMENT_PASSWORD}; PASSWORD=... chooses another"


if __name__ == "__main__":
    sys.exit(main())
