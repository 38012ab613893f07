"""Spaces that have an end: each setting has one turn, with any number of workers, and then the study is over."""

from __future__ import annotations

from collections.abc import Callable

from studies.record.reading import read_stored
from studies.storage import open_storage

from .conftest import Studies

CHOICES = [float(x) for x in range(6)]


def xs(studies: Studies) -> list[float]:
    with open_storage(studies.settings) as storage:
        return sorted(float(trial.params["x"]) for trial in read_stored(storage, "parabola").trials)


def test_a_space_that_is_used_up_ends_the_study(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("finite")
    given = ["./parabola.yaml", "--workers", "3", "--set", f"space.x={CHOICES}", "--trials", "40"]
    launched = studies("launch", *given)
    assert xs(studies) == CHOICES
    assert "Every setting of the space was tried: 6." in launched.stderr
    again = studies("launch", *given).stderr
    assert "has all its 6 trials; nothing was run." in again
    assert "--trials" not in again
    studies("queue", "parabola", "x=3.0")  # a person may ask for it twice
    assert "6/7 trials" in studies("status", "parabola").stdout
    studies("launch", *given)
    assert xs(studies) == sorted([*CHOICES, 3.0])


def test_a_grid_needs_no_number_of_trials(make_studies: Callable[[str], Studies]) -> None:
    studies = make_studies("grid")
    file = studies.directory / "parabola.yaml"
    file.write_text(file.read_text().replace("n_trials: 8\n", ""))
    refused = studies("launch", "./parabola.yaml", expect=2).stderr
    assert "the key 'n_trials' is missing; only a grid may leave it out" in refused
    given = ["./parabola.yaml", "--set", "sampler.name=grid", "--set", f"space.x={CHOICES}"]
    assert "6 trials, one for each setting" in studies("show", *given).stdout
    studies("launch", *given, "--workers", "2")
    assert xs(studies) == CHOICES
