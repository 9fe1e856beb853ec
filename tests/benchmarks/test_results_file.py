"""Results are kept, merged and judged; these tests measure nothing."""

from pathlib import Path

import pytest

from . import docs_page
from .results import Quantity, Results
from .results_file import Measured, ResultsFile, Run
from .systems import PRODUCT, System
from .targets import BIG, CROWD, TARGETS

RUN = Run("2026-11-22", "python -m tests.benchmarks", 5, 1.5, 0.3, ("2 × a processor",))


def measured(values: dict[Quantity, float], run: Run = RUN) -> Measured:
    results = Results()
    for quantity, value in values.items():
        results.add(quantity, value, value / 2)
    return Measured(run, 60, results)


def test_results_round_trip_through_the_file(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "kept.json"
    results_file = ResultsFile(file)
    results_file.put("fanout", measured({BIG: 61_234, BIG.of("raw"): 80_000}))
    results_file.put("members", measured({CROWD: 9.5}))
    assert ResultsFile(file).measured == results_file.measured


def test_remeasured_scenario_replaces_only_its_own_rows(tmp_path: Path) -> None:
    results_file = ResultsFile(tmp_path / "kept.json")
    results_file.put("fanout", measured({BIG: 100, BIG.of("raw"): 200}))
    results_file.put("members", measured({CROWD: 9.5}))
    results_file.put("fanout", measured({BIG: 150}))
    rows = results_file.results().rows
    assert {quantity: row.values for quantity, row in rows.items()} == {BIG: [150], CROWD: [9.5]}


def test_failure_keeps_earlier_results_and_is_shown_until_the_next_success(
    tmp_path: Path,
) -> None:
    results_file = ResultsFile(tmp_path / "kept.json")
    results_file.put("fanout", measured({BIG: 100}))
    results_file.put_failure("fanout", RUN, "LoadError: no answer")
    docs_page.write(ResultsFile(tmp_path / "kept.json"), tmp_path)
    page = (tmp_path / docs_page.PAGE).read_text()
    assert "`fanout` failed on 2026-11-22: LoadError: no answer" in page
    assert "| 100 |" in page
    results_file.put("fanout", measured({BIG: 100}))
    assert not ResultsFile(tmp_path / "kept.json").failed


def test_page_lists_each_run_with_its_scenarios(tmp_path: Path) -> None:
    results_file = ResultsFile(tmp_path / "kept.json")
    again = Run("2026-11-23", "python -m tests.benchmarks hold --keep", 1, 2, 0.1, RUN.machine)
    results_file.put("fanout", measured({BIG: 100}))
    results_file.put("hold", measured({Quantity("hold", "lost", BIG.system): 0}, again))
    docs_page.write(results_file, tmp_path)
    page = (tmp_path / docs_page.PAGE).read_text()
    assert "2026-11-22, `python -m tests.benchmarks`: `fanout` in 1 min" in page
    assert "2026-11-23, `python -m tests.benchmarks hold --keep`: `hold` in 1 min" in page
    assert page.count("2 × a processor") == 1


@pytest.mark.parametrize(("value", "verdict"), [(60, "yes"), (59, "**no**")])
def test_ratio_is_met_at_its_bound(value: float, verdict: str) -> None:
    target = next(one for one in TARGETS if one.other == BIG.of("raw"))
    line = target.judge(measured({BIG: value, BIG.of("raw"): 100}).results)
    assert line is not None
    assert line.endswith(f"| {verdict} |")


def test_unmeasured_target_is_not_judged() -> None:
    assert {target.judge(measured({BIG.of("raw"): 100}).results) for target in TARGETS} == {None}


def test_same_numbers_on_another_setup_are_other_quantities() -> None:
    plain = System(PRODUCT, "uvicorn")
    grown = System(PRODUCT, "uvicorn", "PostgreSQL", "Redis", processes=2)
    results = measured({Quantity("w", "n", plain): 1, Quantity("w", "n", grown): 2}).results
    assert len(results.rows) == 2
    assert str(grown) == "chat on uvicorn, 2 processes, PostgreSQL, Redis"
