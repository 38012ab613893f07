"""What `status`, `watch` and the live view read by SQL is what the whole study says when it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from studies import names, outcomes, steering, tables
from studies.cli import progress
from studies.errors import NotOurs, StudyDeleted, UnknownStudy
from studies.exporters.yaml import content_of
from studies.model.winner import Winner as Winning
from studies.names import CONFIRMS, CONTENDER, REPEATS, SEED, StopReason
from studies.notices import message
from studies.record.frames import trials_frame
from studies.record.overview import read_overviews
from studies.record.progress import Winner, read_winner
from studies.record.reading import read_stored
from studies.search.knowledge import differing
from studies.settings import Settings
from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage
from studies.storage.pages import Pages
from studies.study import create_or_join, get, open_for_workers
from studies.web.api import _study_of
from studies.web.looking import _best
from studies.web.metrics import as_text

from ..reports import make_spec

DATA = {"name": "none", "sha256": "0" * 64, "summary": {}}
DECLARED = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}


def create(storage: Storage, name: str, **given: object) -> optuna.Study:
    spec = make_spec(name=name, **given)
    with create_or_join(storage, spec, Description(DECLARED, DATA, Space.declared(DECLARED))) as (study, _):
        open_for_workers(storage, study, spec)
    return study


def add(
    study: optuna.Study, x: float, value: float, attributes: dict[str, int] | None = None, **system: object
) -> None:
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE, value=value, params={"x": x}, distributions={"x": FloatDistribution(0.0, 1.0)},
            user_attrs=attributes or {}, system_attrs=system,
        )
    )  # fmt: skip


def winner(storage: Storage, study: optuna.Study) -> Winner | None:
    """Return the winner by SQL, after a look at whether the whole study has the same."""
    found = read_winner(storage, study._study_id, study.study_name, make_spec().metrics, 1)
    record = read_stored(storage, study.study_name)
    best, fresh = record.best, record.confirmed
    whole = None if best is None else (best.number, best.value, fresh and fresh.mean)
    assert whole == (None if found is None else (found.trial, found.value, found.mean))
    return found


def test_the_winner_without_reading_the_trials(storage: Storage) -> None:
    study = create(storage, "made-up")
    assert winner(storage, study) is None
    add(study, 0.9, 0.99, **{"constraints:size": 0.1})
    add(study, 0.8, 0.98, constraints=[-1.0, 2.0])
    add(study, 0.7, 0.97, **{"constraints:size": math.inf})
    add(study, 0.6, 0.96, constraints=[-math.inf, math.inf])
    assert winner(storage, study) is None
    assert storage.ledger.n_infeasible(study._study_id) == 4
    add(study, 0.5, 0.6, constraints=None)
    add(study, 0.5, 0.61, constraints=[])
    add(study, 0.5, 0.62, constraints=[-math.inf, 0.0])
    assert winner(storage, study) == Winner(6, 0.62)
    for x, value in [(0.1, 0.7), (0.2, 0.95), (0.3, 0.94)]:
        add(study, x, value, **{"constraints:size": 0.0})
    assert winner(storage, study) == Winner(8, 0.95)

    repeats = create(storage, names.confirmation("made-up"))
    repeats.set_user_attr(CONFIRMS, {"study": "made-up", "published": None, "seeds": [1, 2, 3, 4, 5]})
    for seed in range(1, 6):
        add(repeats, 0.2, 0.90 + seed / 1000, {CONTENDER: 8, SEED: seed})
        add(repeats, 0.3, 0.93 + seed / 1000, {CONTENDER: 9, SEED: seed})
    found = winner(storage, study)
    assert found is not None
    assert (found.trial, found.value, found.n_seeds) == (9, 0.94, 5)
    assert read_winner(storage, repeats._study_id, repeats.study_name, make_spec().metrics, 1) is None

    add(study, 0.2, 0.96)  # the same settings as a contender's
    assert winner(storage, study) == found
    add(study, 0.4, 0.97)
    assert winner(storage, study) == Winner(11, 0.97)


def test_whatever_names_a_best_has_the_mean_of_its_repeats(storage: Storage, database_url: str, tmp_path: Path) -> None:
    study = create(storage, "repeated", repeats=2)
    add(study, 0.1, 0.9)
    add(study, 0.2, 0.7, {SEED: 7})
    add(study, 0.2, 0.8, {REPEATS: 1})
    add(study, 0.1, 0.1, {REPEATS: 0})
    add(study, 0.3, 0.95)  # its repeat is yet to come
    metrics, settings = make_spec().metrics, Settings(database_url, tmp_path, tmp_path)
    found = read_winner(storage, study._study_id, study.study_name, metrics, 2)
    assert found is not None
    assert (found.trial, found.value, str(found.repeated)) == (1, 0.75, "mean of 2 seeds, sd 0.071")

    record = read_stored(storage, "repeated")
    assert record.best is not None
    assert record.best.repeated == found.repeated
    assert [one.params["x"] for one in differing(record.ranked)] == [0.2, 0.1, 0.3]  # what `confirm` repeats
    assert "best balanced_accuracy 0.7500 (trial 1; mean of 2 seeds, sd 0.071; " in outcomes.best(record)
    assert "best 0.7500 (trial 1; mean of 2 seeds, sd 0.071)" in tables.status(settings, "repeated")
    exported = content_of(record)
    assert exported["value"] == 0.75
    winner = Winning.model_validate(exported)
    assert (winner.trial, winner.value) == (1, 0.7)  # `train` compares with the trial that it repeats
    rows = trials_frame(record)
    assert rows["mean"].dropna().to_dict() == {0: 0.5, 1: 0.75, 4: 0.95}
    told = message("best", "", "x", trials=5, n_trials=5, best=found, states={})
    assert (told["best"]["value"], told["best"]["n_repeats"]) == (0.75, 2)

    with closing(Pages(storage)) as pages:
        [overview] = read_overviews(storage, pages)
        site = SimpleNamespace(storage=storage, pages=pages)
        top = _best(site, overview, record.space)  # type: ignore[arg-type]
    assert overview.best == found
    assert [(one.number, one.mean) for one in top] == [(1, 0.75), (0, 0.5), (4, 0.95)]
    answered = _study_of(overview).best
    assert answered is not None
    assert answered.model_dump() == {"trial": 1, "value": 0.75, "n_repeats": 2, "sd": pytest.approx(0.0707, abs=1e-4)}
    assert 'studies_best_value{study="repeated",metric="balanced_accuracy"} 0.75' in as_text([overview], {}, {})


def test_repeats_that_no_trial_is_left_for_are_not_waiting(storage: Storage, database_url: str, tmp_path: Path) -> None:
    study = create(storage, "repeated", repeats=3, n_trials=2)
    add(study, 0.1, 0.9)
    study.enqueue_trial({"x": 0.1}, user_attrs={REPEATS: 0})
    settings = Settings(database_url, tmp_path, tmp_path)
    assert "1/2 trials · 1 complete, 1 waiting" in tables.status(settings, "repeated")
    add(study, 0.2, 0.8)
    assert "2/2 trials · 2 complete · best" in tables.status(settings, "repeated")
    with closing(Pages(storage)) as pages:
        [overview] = read_overviews(storage, pages)
    assert overview.counts == {"complete": 2}
    more = "repeated has all its 2 trials: `studies resume repeated --trials 4` makes room for more."
    assert steering.resume(storage, "repeated") == more


def test_another_optuna_programs_study_is_shown_and_left_alone(
    storage: Storage, database_url: str, tmp_path: Path
) -> None:
    theirs = optuna.create_study(storage=storage.optuna, study_name="theirs", direction="minimize")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1) + 1, n_trials=3)
    theirs.ask()
    several = optuna.create_study(storage=storage.optuna, study_name="several", directions=["minimize", "maximize"])
    several.add_trial(create_trial(values=[1.0, 2.0], params={}, distributions={}))
    create(storage, "ours")
    hostile = "a\x1b[2Jb"  # a terminal would obey it
    optuna.create_study(storage=storage.optuna, study_name=hostile)

    settings = Settings(database_url, tmp_path, tmp_path)
    assert tables.status(settings, hostile).startswith("a\\x1b[2Jb: none yet")
    said = tables.status(settings, "theirs")
    assert f"theirs: 3 complete, 1 running · best {theirs.best_value:.4f} (trial {theirs.best_trial.number})" in said
    assert "Created by another Optuna program, not by `studies`" in said
    assert "several: 1 complete · several objectives, so no single best" in tables.status(settings, "several")
    everything = tables.status(settings, None)
    assert "ours: 0/20 trials" in everything
    assert "Of other Optuna programs, and shown by `studies status NAME`: theirs, several, a\\x1b[2Jb." in everything
    with pytest.raises(NotOurs, match="another Optuna program"):
        get(storage, "theirs")
    with pytest.raises(NotOurs):
        create(storage, "theirs")
    assert theirs.user_attrs == {}
    with pytest.raises(UnknownStudy):
        tables.status(settings, "nobodys")


# --- following it -----------------------------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen while `studies watch` waits for its next look."""
    return lambda what: monkeypatch.setattr(progress, "time", SimpleNamespace(sleep=lambda seconds: what()))


def test_watch_ends_with_a_study_that_has_stopped(
    storage: Storage, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    study = create(storage, "limited", n_trials=None, limits={"hours": 1.0})
    worker = storage.ledger.enter(study._study_id, "cpu")

    def stopped() -> None:
        storage.ledger.request_stop(study._study_id, StopReason.PERSON)
        storage.ledger.leave(worker)

    meanwhile(stopped)
    progress.watch("limited", storage.url)
    said = capsys.readouterr().err
    assert "limited has stopped: `studies stop` was typed; `studies report limited` says more" in said


def test_watch_says_once_that_nobody_runs_a_study(
    storage: Storage, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    create(storage, "alone")
    n_looks = iter(range(3 * progress.PATIENCE))

    def looked() -> None:
        if next(n_looks, None) is None:
            raise KeyboardInterrupt

    meanwhile(looked)
    with pytest.raises(KeyboardInterrupt):
        progress.watch("alone", storage.url)
    assert capsys.readouterr().err.count("No worker runs alone; `studies launch alone` starts some.") == 1


def test_watch_says_that_a_study_was_deleted(storage: Storage, meanwhile: Callable[..., None]) -> None:
    study = create(storage, "short-lived")
    meanwhile(lambda: storage.optuna.delete_study(study._study_id))
    with pytest.raises(StudyDeleted):
        progress.watch("short-lived", storage.url)
