"""Ratios to an earlier checkout, judged and not judged; nothing is measured."""

from dataclasses import replace

import pytest

from .comparing import compared
from .results import Quantity, Results
from .systems import BEFORE, PRODUCT, System
from .targets import BIG, Target

NOW = Quantity("work", "answers/s", System(PRODUCT, "uvicorn"))


def results(values: dict[Quantity, list[float]]) -> Results:
    found = Results()
    for quantity, rounds in values.items():
        for value in rounds:
            found.add(quantity, value, value * 2)
    return found


def test_round_is_compared_with_the_same_round_of_the_checkout_before() -> None:
    # The machine was busy in the second round, for both.
    (_, _, line) = compared(
        results({NOW: [300, 30, 330], NOW.of(BEFORE): [200, 20, 300]})
    ).splitlines()
    assert line == "| work | uvicorn | answers/s | 200 | 300 | 1.50 | 1.10 – 1.50 | 1.50 |"


def test_without_a_checkout_before_nothing_is_compared() -> None:
    assert compared(results({NOW: [300], NOW.of("raw"): [200]})) == ""


def test_ratio_between_two_scenarios_is_not_judged() -> None:
    target = Target(BIG, 1, NOW)
    merged = Results()
    merged.merge(results({BIG: [2]}), "fanout")
    merged.merge(results({NOW: [1]}), "other")
    assert target.judge(merged) is None
    together = Results()
    together.merge(results({BIG: [2], NOW: [1]}), "fanout")
    assert target.judge(together) is not None


def test_two_scenarios_cannot_measure_the_same_quantity() -> None:
    merged = Results()
    merged.merge(results({NOW: [1]}), "one")
    with pytest.raises(ValueError, match="two measures"):
        merged.merge(results({NOW: [1], replace(NOW, at=2): [1]}), "two")
