"""Scenarios that vary one number, for the scaling charts."""

from collections.abc import Callable

from .load import Load
from .runner import Runner, big_room
from .systems import PRODUCT, Room, Running, System, acknowledged

MEMBERS = "one room, by its members"
ROOMS = "rooms of 10, by their number"
COST = "µs of CPU a delivery"
DELIVERIES, ANSWERS = "deliveries/s", "answers/s"

SIZES = (50, 100, 200, 500, 1000, 2000, 5000)
QUICK_SIZES = (50, 200)
NUMBERS = (1, 10, 100, 300)
QUICK_NUMBERS = (1, 10)
SWEPT = ("raw", "standard", "socketio-insert")
SWEPT_STORING = ("standard-orm", "socketio-insert")
STANDARD_UP_TO = 1000
"""Largest room of the standard consumer: above it, one message takes longer than a round."""


def members(runner: Runner) -> None:
    """Fan-out in one room of 50 to 5,000 members; rounds are half as long."""
    sizes = QUICK_SIZES if runner.quick else SIZES
    rooms = [big_room(size) for size in sizes]
    systems = [
        system
        for system in runner.systems(peers=SWEPT)
        if system.name == PRODUCT or system.server != "daphne"
    ]
    with runner.side_by_side(systems, rooms) as started:
        for size in sizes:
            runner.print_line(str(size))
            able = [one for one in started if _is_able(one.system, size)]
            runner.compare(able, [big_room(size)], _fanout(runner, size))


def _is_able(system: System, size: int) -> bool:
    return not (system.name.startswith("standard") and size > STANDARD_UP_TO)


def _fanout(runner: Runner, size: int) -> Callable[[Running, Load], None]:
    def measure(one: Running, load: Load) -> None:
        # A message of the standard consumer takes so long that half a round holds hardly two.
        seconds = runner.seconds * (1 if one.system.name.startswith("standard") else 0.5)
        before = one.cpu()
        answer = load.closed(seconds / 4, seconds)
        cost = (one.cpu() - before) / max(answer["all_deliveries"], 1) * 1e6
        rate = answer["deliveries"] / answer["seconds"]
        runner.add(MEMBERS, DELIVERIES, one.system, rate, at=size)
        runner.add(MEMBERS, COST, one.system, cost, at=size)
        runner.note_load(one, answer)

    return measure


def rooms(runner: Runner) -> None:
    """Acknowledged messages in 1 to 300 rooms of 10; rounds are half as long."""
    numbers = QUICK_NUMBERS if runner.quick else NUMBERS
    all_rooms = [Room(f"side{number}", 10) for number in range(max(numbers))]

    with runner.side_by_side(runner.systems(peers=SWEPT_STORING), all_rooms) as started:
        for number in numbers:
            runner.print_line(str(number))

            def measure(one: Running, load: Load, number: int = number) -> None:
                answer = load.closed(runner.seconds / 8, runner.seconds / 2)
                rate = answer["answers"] / answer["seconds"]
                runner.add(ROOMS, ANSWERS, one.system, rate, at=number)
                runner.note_load(one, answer)

            runner.compare(started, all_rooms[:number], measure, acknowledged)
