"""The pruners that ask the storage about the rung alone decide as Optuna's own do."""

from __future__ import annotations

import itertools
import math
import random

import optuna
import psycopg2
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner

from studies.search.rungs import Hyperband, SuccessiveHalving
from studies.storage import calls
from studies.storage.postgres import PostgresStorage

BAND = {"min_resource": 1, "max_resource": 9, "reduction_factor": 3}
HALVING = {"min_resource": 1, "reduction_factor": 2}


def _decisions(study: optuna.Study, curves: list[list[float]], n_at_once: int) -> list[tuple[int, list[float]]]:
    """Run the trials some at a time, in turns; return how long each lasted, and what it noted at its rungs."""
    ends: dict[int, int] = {}
    waiting = iter(curves)
    running = [(study.ask(), curve, itertools.count(1)) for curve in itertools.islice(waiting, n_at_once)]
    while running:
        trial, curve, steps = running.pop(0)
        step = next(steps)
        trial.report(curve[step - 1], step)
        if trial.should_prune() or step == len(curve):
            ends[trial.number] = step
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            running += [(study.ask(), curve, itertools.count(1)) for curve in itertools.islice(waiting, 1)]
        else:
            running.append((trial, curve, steps))
    noted = {trial.number: list(trial.system_attrs.values()) for trial in study.trials}
    return [(ends[number], noted[number]) for number in sorted(ends)]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Hyperband(**BAND), HyperbandPruner(**BAND)), (SuccessiveHalving(**HALVING), SuccessiveHalvingPruner(**HALVING))],
)
def test_same_decisions_as_optuna(database_url: str, direction: str, ours: BasePruner, theirs: BasePruner) -> None:
    draw = random.Random(1)
    curves = [[draw.choice([draw.random(), 0.5, math.inf]) for _ in range(9)] for _ in range(60)]
    curves[7][2] = math.nan
    storage = PostgresStorage(database_url)
    decided = [
        _decisions(
            optuna.create_study(
                storage=where, study_name=f"pruned-{direction}", direction=direction, pruner=pruner,
                sampler=optuna.samplers.RandomSampler(),
            ), curves, n_at_once=4,
        )
        for where, pruner in ((storage, ours), (None, theirs), (None, ours))
    ]  # fmt: skip
    assert decided[0] == decided[1] == decided[2]
    assert 10 < sum(end < 9 for end, _ in decided[0]) < 60
    storage.remove_session()


def test_two_workers_with_two_pruners_see_each_others_rungs(database_url: str) -> None:
    storages = [PostgresStorage(database_url) for _ in range(2)]
    optuna.create_study(storage=storages[0], study_name="together", direction="maximize")
    ours, theirs = (
        optuna.load_study(study_name="together", storage=storage, pruner=pruner)
        for storage, pruner in zip(
            storages, (SuccessiveHalving(**HALVING), SuccessiveHalvingPruner(**HALVING)), strict=True
        )
    )
    for study, value, pruned in ((ours, 1.0, False), (theirs, 0.5, True), (theirs, 2.0, False), (ours, 1.5, False),
                                 (ours, 1.4, True), (theirs, 1.6, False), (ours, 1.55, False)):  # fmt: skip
        trial = study.ask()
        trial.report(value, 1)
        assert trial.should_prune() is pruned, value
        study._storage.flush()  # type: ignore[attr-defined]
    for storage in storages:
        storage.remove_session()


def test_a_rung_is_one_statement_and_between_rungs_there_is_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.storage.lingering.LINGER_S", 0)
    storage = PostgresStorage(database_url)
    study = optuna.create_study(storage=storage, pruner=SuccessiveHalving(min_resource=2, reduction_factor=2))
    trial = study.ask()
    sent = []
    run = storage._connections.run
    monkeypatch.setattr(storage._connections, "run", lambda *given, **more: sent.append(given) or run(*given, **more))
    for step, n_asked in ((1, 0), (2, 1), (3, 0), (4, 1), (5, 0), (8, 1)):
        trial.report(0.5, step)
        sent.clear()
        assert not trial.should_prune()
        assert len(sent) == n_asked, step
    monkeypatch.undo()
    storage.remove_session()


def test_an_attribute_committed_late_is_not_missed(database_url: str) -> None:
    """Its id is older than that of others which were read while its transaction was open."""
    storage = PostgresStorage(database_url)
    study = optuna.create_study(storage=storage)
    slow, *fast = [study.ask()._trial_id for _ in range(5)]
    storage.flush()
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO trial_system_attributes (trial_id, key, value_json)"
                       " VALUES (%s, 'completed_rung_0', '0.25')", (slow,))  # fmt: skip
        for n, trial_id in enumerate(fast[:3], start=1):
            assert len(storage.complete_rung(trial_id, "completed_rung_0", 0.5)) == n  # the slow one is not there
    connection.close()
    assert storage.complete_rung(fast[3], "completed_rung_0", 0.5)[3:] == [(0, 0.25), (4, 0.5)]
    storage.remove_session()


def test_what_is_known_is_not_read_again(database_url: str) -> None:
    storage, other = PostgresStorage(database_url), PostgresStorage(database_url)
    study = optuna.create_study(storage=storage)
    for n in range(20):
        other.complete_rung(other.create_new_trial(study._study_id), "completed_rung_0", n / 20)
    for _ in range(2):
        trial_id = storage.create_new_trial(study._study_id)
        entries = storage.complete_rung(trial_id, "completed_rung_0", 2.0)
    assert len(entries) == 22
    given = {"study_id": study._study_id, "after_attribute": storage._remembered.study(study._study_id).rungs.after}
    rows = storage._connections.run(calls.rungs("true"), given)
    assert [row[-1] for row in rows] == ["2.0"]
    for each in (storage, other):
        each.remove_session()


def test_new_values_are_found_without_a_look_at_old_trials(database_url: str) -> None:
    storage = PostgresStorage(database_url)
    study_id = optuna.create_study(storage=storage)._study_id
    for statement in (
        """INSERT INTO trials (study_id, number, state, datetime_start)
           SELECT %(study)s, n, 'COMPLETE', localtimestamp FROM generate_series(0, 4999) n""",
        """INSERT INTO trial_system_attributes (trial_id, key, value_json)
           SELECT trial_id, 'completed_rung_0', '0.5' FROM trials""",
        "ANALYZE",
    ):
        storage._connections.run(statement, {"study": study_id})
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT max(trial_system_attribute_id) - 3 FROM trial_system_attributes")
        [(after,)] = cursor.fetchall()
        for _ in range(8):  # a plan is kept after the fifth call
            cursor.execute(calls.rungs("true"), {"study_id": study_id, "after_attribute": after})
            assert cursor.fetchall()[0][-1] == "0.5,0.5,0.5"
        cursor.execute("SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'trials'")
        [(n_scans, n_fetched)] = cursor.fetchall()
        assert n_scans == 0
        assert 8 * 3 <= n_fetched < 100
    connection.close()
    storage.remove_session()
