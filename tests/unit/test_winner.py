"""One winner: every reader of a study names the same trial, before and after a confirmation, and a feasible one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from studies import outcomes
from studies.exporters import export
from studies.model.winner import Winner
from studies.record.study import StudyRecord
from studies.report import figures, marginals
from studies.report.findings import compared
from studies.report.page import render
from studies.report.sections import document
from studies.search.race import Contender, stand

from ..reports import make_report, make_trial


def searched() -> StudyRecord:
    """Return a study in which trial 1 has the best value and trial 2 is the better one under fresh seeds."""
    trials = [
        make_trial(0, [0.80], params={"learning_rate": 0.1}),
        make_trial(1, [0.95], params={"learning_rate": 0.2}),
        make_trial(2, [0.94], params={"learning_rate": 0.3}),
    ]
    return make_report(trials)


def confirmed(record: StudyRecord) -> StudyRecord:
    field = [
        Contender(1, values=dict(enumerate([0.90, 0.89, 0.91, 0.90, 0.92]))),
        Contender(2, values=dict(enumerate([0.93, 0.94, 0.93, 0.94, 0.93]))),
    ]
    return replace(record, confirmation=stand(field, 1, 5))


def highlighted(record: StudyRecord) -> set[int]:
    """Return the trials that the figures draw as the best."""
    curve = next(trace for trace in figures.curves(record).data if trace["name"].startswith("best"))
    [drawn] = marginals.parameters(record, compared(record), {"learning_rate": None})
    point = next(trace for trace in drawn.data if trace["name"] == "best")
    return {number for trace in (curve, point) for number in trace["customdata"] if number is not None}


@pytest.mark.parametrize(("record", "winner"), [(searched(), 1), (confirmed(searched()), 2)])
def test_every_reader_names_the_same_trial(record: StudyRecord, winner: int) -> None:
    rate = {1: 0.2, 2: 0.3}[winner]
    assert record.best is not None
    assert record.best.number == winner
    assert f"(trial {winner}" in outcomes.best(record)
    assert yaml.safe_load(export(record, "yaml"))["trial"] == winner
    assert json.loads(export(record, "json"))["best"] == winner  # type: ignore[arg-type]
    assert Winner.of(record).trial == winner
    assert highlighted(record) == {winner}
    sections = {section.title: section for section in document(record).sections}
    assert sections["Parameters"].tables[0].rows[0][-1] == str(rate)
    answer = sections["Answer"]
    assert answer.tables[0].rows[1] == ("trial", str(winner))
    assert f"rial is {winner}" in answer.text[0] or f"(trial {winner}" in answer.text[0]
    trials = sections["All trials"].tables[0]
    assert [trials.rows[row][0] for row in trials.marks] == [str(winner)]


def test_a_confirmation_is_over_once_the_search_finds_better_settings() -> None:
    record = confirmed(searched())
    record = replace(record, trials=[*record.trials, make_trial(3, [0.97], params={"learning_rate": 0.4})])
    assert record.best is not None
    assert record.best.number == 3


def test_the_best_trial_is_feasible() -> None:
    record = searched()
    trials = [replace(trial, constraints={"size": 0.5 if trial.number == 1 else 0.0}) for trial in record.trials]
    record = replace(record, trials=trials)
    assert [trial.number for trial in record.ranked] == [2, 0]
    assert record.states == "3 complete (1 infeasible), 0 pruned, 0 failed"
    page = render(record, "md")
    assert "1 completed trial violates a constraint and cannot be the best." in page
    assert "| 1 | complete (infeasible) |" in page
    exported = export(record, "csv")
    assert "constraints_size" in exported  # type: ignore[operator]
    assert json.loads(export(record, "json"))["trials"][1]["constraints"] == {"size": 0.5}  # type: ignore[arg-type]
    none = replace(record, trials=[replace(trial, constraints={"size": 1.0}) for trial in record.trials])
    assert "for no completed trial is feasible, and trial 0 comes nearest" in render(none, "md")
    assert none.best is None
