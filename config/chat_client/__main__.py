"""`python -m config.chat_client ila --room friends`, or `--token` for an access token alone."""

import argparse
import asyncio
import getpass
import os
import sys

from .account import DEVELOPMENT_PASSWORD, Account, CannotSignIn
from .chat import Chat
from .keyboard import is_terminal
from .rest import Refused, Rest, Unreachable
from .room import RoomAddress, make_group
from .screen import Screen

EXAMPLE = "make chat NAME=ila ROOM=friends"


class Failure(Exception):
    """The text says what is wrong and what to do."""


def main() -> int:
    options = _parse()
    try:
        return _run(options)
    except (Failure, CannotSignIn) as failure:
        Screen(prompt=False)  # so that the next line can be written whatever it holds
        sys.stderr.write(f"{failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Nobody reads any more, as in `make chat ... | head`. Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.chat_client", description=__doc__)
    parser.add_argument("name", help="a username or e-mail address; registered when it is free")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server")
    parser.add_argument("--room", default="", help="a public room, made when it is missing")
    parser.add_argument("--group", default="", help="a group")
    parser.add_argument(
        "--members", default="", help="of the group, with commas: makes it, or adds"
    )
    parser.add_argument("--to", default="", help="a user, to talk to in private")
    parser.add_argument("--token", action="store_true", help="print an access token and end")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    if not options.name:
        raise Failure(f"Say who you are, as in: {EXAMPLE}")
    room = _room(options)
    rest = _rest(options.url)
    try:
        account = Account(rest, options.name, _password(rest))
        registered = account.enter()
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
            added = make_group(account, room.name, members)
            if added:
                screen.show(f"-- Added to {room.name}: {', '.join(added)}")
        return asyncio.run(_talk(rest, account, room, screen))
    finally:
        screen.close()
        account.sign_out()


async def _talk(rest: Rest, account: Account, room: RoomAddress, screen: Screen) -> int:
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
        raise Failure("Name one of ROOM=, GROUP= and TO=")
    if options.members and not options.group:
        raise Failure("MEMBERS= belongs to a group, as in: GROUP=friends MEMBERS=kaushal")
    return chosen[0] if chosen else RoomAddress("public", "lobby")


def _rest(url: str) -> Rest:
    try:
        return Rest(url)
    except ValueError as error:
        raise Failure(f"{error}.") from None


def _password(rest: Rest) -> str:
    """From PASSWORD, never from the arguments, which other users of the machine can see."""
    given = os.environ.get("PASSWORD", "")
    if given:
        return given
    if rest.is_local:
        return DEVELOPMENT_PASSWORD
    if not sys.stdin.isatty():
        raise Failure(f"Give your password for {rest.url} as PASSWORD=...")
    return getpass.getpass(f"Password for {rest.url}: ")


def _password_note() -> str:
    if os.environ.get("PASSWORD"):
        return ""
    return f" with the password {DEVELOPMENT_PASSWORD}; PASSWORD=... chooses another"


if __name__ == "__main__":
    sys.exit(main())
