"""How a study ends without a number of trials: its space is used up, or its hours are over."""

from __future__ import annotations

from collections.abc import Callable

import yaml

from studies.record.reading import read_stored
from studies.storage import Storage, open_storage
from studies.study import get

from ..conftest import rows_of
from .conftest import Studies

CHOICES = [float(x) for x in range(6)]


def xs(studies: Studies) -> list[float]:
    with open_storage(studies.settings) as storage:
        return sorted(float(trial.params["x"]) for trial in read_stored(storage, "parabola").trials)


def is_watched(storage: Storage) -> bool:
    """Whether a dashboard would tell of lost workers. It has no need to once the launch has told its end."""
    ((watched,),) = rows_of(storage.url, "SELECT is_watched FROM studies.control")
    return bool(watched)


def test_a_space_that_is_used_up_ends_the_study(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("finite")
    given = ["./parabola.yaml", "--workers", "3", "--set", f"space.x={CHOICES}", "--trials", "40"]
    launched = studies("launch", *given)
    assert xs(studies) == CHOICES
    assert "Every setting of the space was tried: 6." in launched.stderr
    again = studies("launch", *given).stderr
    assert "has all its 6 trials; nothing was run." in again
    assert "--trials" not in again
    studies.told("queue", "parabola", "x=3.0")  # a person may ask for it twice
    assert "6/7 trials" in studies.told("status", "parabola").stdout


def test_so_does_that_of_a_plain_function(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("asked")
    (studies.directory / "asking.py").write_text(
        "def train(trial):\n"
        "    wide = trial.suggest_categorical('wide', [True, False])\n"
        "    return trial.suggest_int('x', 1, 3) if wide else 0\n"
    )
    (studies.directory / "asking.yaml").write_text("{name: asking, objective: asking:train, direction: maximize}")
    # By these the others know its tree: of a trial that has just asked nobody can tell whether it will ask for more.
    studies("launch", "asking.yaml", "--workers", "1", "--trials", "2")
    launched = studies("launch", "asking.yaml", "--workers", "3", "--trials", "40")
    with open_storage(studies.settings) as storage:
        trials = read_stored(storage, "asking").trials
        assert not is_watched(storage)
    assert len(trials) == len({str(trial.params) for trial in trials}) == 4
    assert "Every setting of the space was tried: 4." in launched.stderr
    assert "`studies confirm asking`" in launched.stderr
    assert "`studies train asking`" in launched.stderr
    assert "has all its 4 trials; nothing was run." in studies("launch", "asking.yaml", "--trials", "50").stderr


def test_a_grid_needs_no_number_of_trials(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("grid")
    file = studies.directory / "parabola.yaml"
    file.write_text(file.read_text().replace("n_trials: 8\n", ""))
    refused = studies("launch", "./parabola.yaml", expect=2).stderr
    assert "the key 'n_trials' is missing; only a grid, or a study with limits.hours, may leave it out" in refused
    given = ["./parabola.yaml", "--set", "sampler.name=grid", "--set", f"space.x={CHOICES}"]
    assert "6 trials, one for each setting" in studies.told("show", *given).stdout
    studies("launch", *given, "--workers", "2")
    assert xs(studies) == CHOICES


def test_hours_in_place_of_a_number_of_trials(make_studies: Callable[[str], Studies]) -> None:
    """Of paused trials, the best are resumed at the end; what is launched again has the rest of a longer time."""
    studies = make_studies("hours")
    file = studies.directory / "parabola.yaml"
    file.write_text(file.read_text().replace("n_trials: 8\n", "").replace("{name: none}", "{name: asha}"))
    given = ["./parabola.yaml", "--workers", "2", "--set", "space.seconds=0.05"]
    studies("launch", *given, "--set", "limits.hours=0.002")
    before = ends(studies)
    assert before["complete"] >= 1
    assert hours_used(studies) >= 0.9 * 0.002
    with open_storage(studies.settings) as storage:
        assert not is_watched(storage)
    studies("launch", *given, "--set", f"limits.hours={hours_used(studies) + 0.0015:.5f}")
    assert sum(ends(studies).values()) > sum(before.values())
    assert " h · " in studies.told("status", "parabola").stdout


def test_each_setting_of_a_grid_under_three_seeds(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("repeats")
    file = studies.directory / "parabola.yaml"
    file.write_text(file.read_text().replace("n_trials: 8\n", "repeats: 3\nsampler: {name: grid}\n"))
    studies("launch", "./parabola.yaml", "--set", "space.x=[0.0,1.0,2.0]", "--workers", "2")
    with open_storage(studies.settings) as storage:
        trials = read_stored(storage, "parabola").trials
    assert sorted(trial.params["x"] for trial in trials) == [0.0] * 3 + [1.0] * 3 + [2.0] * 3
    assert len({trial.seed for trial in trials}) == 9
    status = studies.told("status", "parabola").stdout
    assert "9/9 trials" in status
    first = min(trial.number for trial in trials if trial.value == 0.2)  # all seeds are the same to it
    assert f"best 0.2000 (trial {first}; mean of 3 seeds, sd 0)" in status
    best = yaml.safe_load((studies.directory / "parabola.best.yaml").read_text())
    assert (best["value"], best["repeated"]) == (0.2, {"value_sd": 0.0, "n_seeds": 3, "value_of_trial": 0.2})


def ends(studies: Studies) -> dict[str, int]:
    with open_storage(studies.settings) as storage:
        return read_stored(storage, "parabola").counts


def hours_used(studies: Studies) -> float:
    with open_storage(studies.settings) as storage:
        return storage.ledger.budget(get(storage, "parabola")._study_id).hours_used
