"""What the live view says of a study: never more trials than there are, never less time than none."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from studies.names import UNLIMITED
from studies.record.progress import Progress, Winner
from studies.run.limits import reached
from studies.storage.budget import Budget
from studies.storage.ledger import Usage, Worker
from studies.view.line import Rate, line_of, states_of
from studies.view.live import picture, workers_table
from studies.words import all_its

from ..reports import make_spec


def progress(done: int, n_trials: int) -> Progress:
    return Progress("mine", Budget(n_trials=n_trials, counted=done), {"COMPLETE": done}, 5 * done, None, [])


def test_a_study_that_has_more_trials_than_it_was_asked_for_later() -> None:
    rate = Rate()
    rate.add(progress(29, 31))
    rate.add(progress(31, 30))
    line = line_of(progress(31, 30), rate)
    assert "mine: 31/31 trials" in line
    assert "left" not in line


def test_one_is_no_plural() -> None:
    assert line_of(progress(0, 1)).startswith("mine: 0/1 trial · ")
    assert line_of(progress(0, 2)).startswith("mine: 0/2 trials · ")
    assert [all_its(n, "trial") for n in (1, 2, 1000)] == ["its only trial", "all its 2 trials", "all its 1,000 trials"]
    spec = make_spec(limits={"max_failures": 1})
    assert reached(spec, Budget(n_trials=9, failures_in_a_row=1)) == "1 trial failed in a row"


def test_a_study_that_hours_end_has_no_number_of_trials() -> None:
    budget = Budget(n_trials=UNLIMITED, counted=4, hours=2.0, hours_used=0.5)
    rate, shown = Rate(), Progress("mine", budget, {"COMPLETE": 4}, 20, None, [])
    rate.add(shown)
    line = line_of(shown, rate)
    assert line.startswith("mine: 4 trials · 0.50 of 2 h")
    assert line.endswith("about 90:00 left")
    assert budget.share == 0.25


def test_a_function_that_reports_nothing_has_no_epochs_a_second() -> None:
    rate = Rate()
    for done in (1, 2):
        rate.add(shown := replace(progress(done, 9), epochs=0))
    assert "epochs/s" not in line_of(shown, rate)
    rate.add(shown := progress(3, 9))
    assert "epochs/s" in line_of(shown, rate)


@pytest.mark.parametrize(("value", "shown"), [(0.8567, "0.8567"), (2.5e-5, "2.5e-05"), (31234567.0, "3.12e+07")])
def test_a_tiny_or_a_huge_value_is_no_row_of_noughts(value: float, shown: str) -> None:
    best = Winner(3, value, mean=value, n_seeds=5)
    line = line_of(replace(progress(4, 9), best=best))
    assert line.endswith(f"best {shown} (trial 3; mean {shown} under 5 fresh seeds)")


def test_outside_a_terminal_rich_is_not_imported() -> None:
    code = "import sys; from studies.view import make_view; make_view().say('a line'); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "a line\n")


def test_a_narrow_terminal_gets_fewer_columns_and_whole_words() -> None:
    worker = Worker(1, "a-rather-long-name.example.org", 4711, "cpu", 3, 2, 0.2, True, Usage(cpu_percent=99.0))
    found = replace(progress(1, 9), workers=[worker])
    assert [column.header for column in workers_table(found).columns] == [
        "worker", "host", "device", "trial", "epoch", "CPU", "memory", "last heard of"
    ]  # fmt: skip
    narrow = workers_table(found, 40)
    assert [column.header for column in narrow.columns] == ["worker", "trial", "epoch", "last heard of"]
    console = Console(width=40, color_system=None)
    with console.capture() as capture:
        console.print(picture(found, width=console.width))
    assert capture.get().splitlines()[-1].split() == ["4711", "3", "2", "0", "s", "ago"]
    assert len(picture(progress(1, 9)).renderables) == 2  # no header over no worker


def test_failed_trials_have_their_reason() -> None:
    said = states_of({"COMPLETE": 3, "FAIL exception": 2, "FAIL": 1, "LOST": 1})
    assert said == "3 complete, 2 failed (exception), 1 failed, 1 lost"
    told = picture(replace(progress(4, 9), states={"FAIL nan": 2})).renderables[1]
    assert "2 failed (nan)" in str(told)
