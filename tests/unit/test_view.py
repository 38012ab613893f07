"""What the live view says of a study: never more trials than there are, never less time than none."""

from __future__ import annotations

import subprocess
import sys

from studies.names import UNLIMITED
from studies.record.progress import Progress
from studies.storage.budget import Budget
from studies.view.line import Rate, line_of


def progress(done: int, n_trials: int) -> Progress:
    return Progress("mine", Budget(n_trials=n_trials, counted=done), {"COMPLETE": done}, 5 * done, None, None, [])


def test_a_study_that_has_more_trials_than_it_was_asked_for_later() -> None:
    rate = Rate()
    rate.add(progress(29, 31))
    rate.add(progress(31, 30))
    line = line_of(progress(31, 30), rate)
    assert "mine: 31/31 trials" in line
    assert line.endswith("about 0:00 left")


def test_a_study_that_hours_end_has_no_number_of_trials() -> None:
    budget = Budget(n_trials=UNLIMITED, counted=4, hours=2.0, hours_used=0.5)
    rate, shown = Rate(), Progress("mine", budget, {"COMPLETE": 4}, 20, None, None, [])
    rate.add(shown)
    line = line_of(shown, rate)
    assert line.startswith("mine: 4 trials · 0.50 of 2 hours")
    assert line.endswith("about 90:00 left")
    assert budget.share == 0.25


def test_outside_a_terminal_rich_is_not_imported() -> None:
    code = "import sys; from studies.view import make_view; make_view().say('a line'); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "a line\n")
