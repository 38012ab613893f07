"""A study that changed goes on as another version, one starts from what another found, an exported file comes back."""

from __future__ import annotations

import optuna
import yaml

from studies import study
from studies.names import SPEC, WARM_START
from studies.record.study import StudyRecord
from studies.storage import open_storage

from . import noisy
from .conftest import Studies
from .test_study import report


def change(studies: Studies, old: str, new: str) -> None:
    file = studies.directory / "noisy.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def origins(found: StudyRecord) -> list[tuple[str, int] | None]:
    """Return for each trial which study and trial its parameters were taken from."""
    given = [trial.attributes.get("from") for trial in found.trials]
    return [None if origin is None else (origin["study"], origin["trial"]) for origin in given]


def test_a_changed_study_goes_on_as_a_new_version(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml", "--workers", "2")
    change(studies, "space: {mood", "space: {x: {low: 0.4, high: 9.5}, mood")
    refused = studies.told("launch", "./noisy.yaml", expect=2).stderr
    assert 'with another space (space.x: stored null, given {"low": 0.4, "high": 9.5}); put it back' in refused
    assert "add --new-version to the same command, which begins noisy@2" in refused

    again = ("launch", "./noisy.yaml", "--new-version", "--from", "noisy", "--trials", "12")
    begun = studies(*again, "--workers", "2").stderr
    second = report(studies, "noisy")
    assert second.spec.name == "noisy@2"
    # Exactly as many as asked for: the file's own first, then the other's best, which were run again.
    assert len(second.trials) == 12
    first = report(studies, "noisy@1").ranked
    inside = [trial.number for trial in first if 0.4 <= float(str(trial.params["x"])) <= 9.5]
    queued = [number for number in inside if number > 3][:5]  # the first four are the file's own
    assert queued
    assert origins(second) == [None] * 4 + [("noisy", number) for number in queued] + [None] * (8 - len(queued))
    assert f"noisy@2 starts from noisy: {len(queued)} setting" in begun
    assert f"its sampler knows {len(inside)} of 8 completed trials" in begun
    for trial in second.trials:
        assert trial.value == noisy.value(float(str(trial.params["x"])), trial.attributes["seed"])
    assert not {t.attributes["seed"] for t in second.trials if "from" in t.attributes} & {
        t.attributes["seed"] for t in report(studies, "noisy@1").trials
    }

    # The same command again goes on with the same version.
    assert "noisy@2 has all its 12 trials; nothing was run" in studies.told(*again).stderr
    with open_storage(studies.settings) as storage:
        assert study.started(storage) == ["noisy", "noisy@2"]
        assert len(study.get(storage, "noisy").user_attrs[WARM_START]) == 1

    # The name alone is the newest version, for everybody; the first one keeps its own spec.
    studies("launch", "./noisy.yaml", "--trials", "13")
    (studies.directory / "noisy@2.best.yaml").unlink()
    said = studies("launch", "noisy@1", "--trials", "9").stderr
    assert "\nnoisy@1: best loss " in said
    assert "Written: noisy.best.yaml. Next: `studies report noisy@1` writes" in said
    assert not (studies.directory / "noisy@2.best.yaml").exists()
    printed = studies.told("logs", "noisy@1").stdout
    assert "trial 8 complete" in printed
    assert "trial 12 complete" in studies.told("logs", "noisy").stdout  # in the same directory, and older
    assert studies.told("show", "noisy@1").stdout.startswith("study          noisy@1\n")
    assert (len(report(studies, "noisy").trials), len(report(studies, "noisy@1").trials)) == (13, 9)
    with open_storage(studies.settings) as storage:
        assert "x" not in study.get(storage, "noisy@1").user_attrs[SPEC]["space"]
    assert yaml.safe_load(studies.told("export", "noisy").stdout)["study"] == "noisy@2"
    assert yaml.safe_load(studies.told("export", "noisy@1").stdout)["study"] == "noisy"
    assert studies.told("status", "noisy").stdout.startswith("noisy@2: 13/13")
    assert studies.told("status", "noisy@1").stdout.startswith("noisy@1: 9/9")
    assert "left: all 9 trials are done" in studies.told("worker", "noisy@1").stderr
    assert "left: all 13 trials are done" in studies.told("worker", "noisy").stderr
    assert "noisy@2 is done" in studies.told("watch", "noisy@2").stderr
    assert "noisy@2 has all its 13 trials: there is nothing to stop" in studies.told("stop", "noisy").stderr
    assert "# noisy@1\n" in studies.told("report", "noisy@1", "--format", "md").stdout
    studies.told("train", "noisy@2", "-o", "model")
    assert (studies.directory / "model" / "README.md").exists()
    studies("confirm", "noisy@1", "--top", "1", "--seeds", "2")
    assert "noisy@1-confirm: 2/2" in studies.told("status", "noisy@1").stdout
    listed = [line.split("  ")[0] for line in studies.told("list").stdout.splitlines()]
    assert [name for name in listed if name.startswith("noisy")] == ["noisy@1", "noisy@1-confirm", "noisy@2"]
    assert "no version 3 in this storage; the newest is 'noisy@2'" in studies.told("status", "noisy@3", expect=2).stderr


def test_a_study_that_is_launched_by_its_name_keeps_it(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml", "--trials", "4")
    assert studies.told("show", "noisy").stdout.startswith("study          noisy\n")
    assert "noisy@" not in studies("launch", "noisy", "--trials", "5").stderr
    assert "trial 4 complete" in studies.told("logs", "noisy").stdout
    assert [path.name for path in (studies.directory / "home" / "logs").iterdir()] == ["noisy"]


def test_from_another_study_whose_values_mean_something_else(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml", "--workers", "2")
    change(studies, "name: noisy", "name: longer")
    change(studies, "max_epochs: 3", "max_epochs: 4")
    change(studies, "start_with: [{x: 0.5}, {x: 2.0}, {x: 2.05}, {x: 9.0}]", "")
    change(studies, "noise: 0.1", "noise: 0.2")  # what is fixed is as the new study says
    begun = studies("launch", "./noisy.yaml", "--from", "noisy", "--trials", "6").stderr
    assert "its sampler knows none of its values: max_epochs was 3, and is 4" in begun
    found = report(studies, "longer")
    best = report(studies, "noisy").ranked[:5]
    assert origins(found) == [("noisy", trial.number) for trial in best] + [None]
    assert [trial.params["x"] for trial in found.trials[:5]] == [trial.params["x"] for trial in best]
    assert {trial.params["noise"] for trial in found.trials} == {0.2}
    with open_storage(studies.settings) as storage:
        assert study.get(storage, "longer").user_attrs[WARM_START] == [{"study": "noisy", "trials": []}]
    assert (
        "--from longer is the study itself"
        in studies.told("launch", "./noisy.yaml", "--from", "longer", expect=2).stderr
    )
    assert "No study is named 'nobody'" in studies.told("launch", "./noisy.yaml", "--from", "nobody", expect=2).stderr


def test_an_exported_file_gives_the_same_value_in_another_study(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml")
    exported = yaml.safe_load((studies.directory / "noisy.best.yaml").read_text())
    change(studies, "name: noisy", "name: other")
    change(studies, "start_with: [{x: 0.5}, {x: 2.0}, {x: 2.05}, {x: 9.0}]", "")
    with_file = ("launch", "./noisy.yaml", "--start-with", "noisy.best.yaml")
    studies(*with_file, "--trials", "2")
    first, second = report(studies, "other").trials
    assert first.params == exported["params"]
    assert first.attributes["seed"] == exported["provenance"]["seed"]
    assert first.value == exported["value"]
    assert first.given is None
    assert origins(report(studies, "other")) == [("noisy", exported["trial"]), None]
    assert second.value != first.value

    # Typed again it is not run again; into a space that does not hold it, it is refused.
    studies(*with_file, "--trials", "3")
    assert origins(report(studies, "other")) == [("noisy", exported["trial"]), None, None]
    outside = ("--set", "space.x={low: 5, high: 6}", "--set", "name=outside")
    assert "noisy.best.yaml: x = 2." in studies.told(*with_file, *outside, expect=2).stderr
    assert "has no `params:`" in studies.told("launch", "./noisy.yaml", "--start-with", "noisy.yaml", expect=2).stderr
    assert "cannot be read" in studies.told("launch", "./noisy.yaml", "--start-with", "no.yaml", expect=2).stderr


def test_from_a_study_of_another_optuna_program(noisy_studies: Studies) -> None:
    studies = noisy_studies
    change(studies, "start_with: [{x: 0.5}, {x: 2.0}, {x: 2.05}, {x: 9.0}]", "")
    with open_storage(studies.settings) as storage:
        theirs = optuna.create_study(storage=storage.optuna, study_name="old one")
        refused = studies.told("launch", "./noisy.yaml", "--from", "old one", expect=2).stderr
        assert "'old one' has nothing to start from, for no trial is complete (0 trials, 0 complete)" in refused
        theirs.optimize(lambda trial: abs(trial.suggest_float("x", 0, 12) - 2), n_trials=12)
    begun = studies("launch", "./noisy.yaml", "--from", "old one", "--trials", "6").stderr
    assert "its sampler knows none of its values: another Optuna program measured them" in begun
    best = [t for t in sorted(theirs.trials, key=lambda trial: trial.values[0]) if t.params["x"] <= 10][:5]
    assert origins(report(studies, "noisy")) == [("old one", trial.number) for trial in best] + [None] * (6 - len(best))
