"""What every exporter must fulfil."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from studies.errors import WrongInput
from studies.exporters import export, exporter_of
from studies.names import State
from studies.record.study import StudyRecord, TrialRecord
from studies.spec import StudySpec
from studies.spec.space import Space

START = datetime(2026, 1, 1)
HOSTILE = '</script>,"quoted"\n\t\\ | é 漢 \x1b[31m'


class ExporterSuite:
    """Inherit it and say what to test. exporter: as --format names it."""

    exporter: ClassVar[str]

    def kinds(self) -> list[bool]:
        """Return what can be rendered: trials, and with `render_curves` every epoch."""
        return [False, *[True] * hasattr(exporter_of(self.exporter), "render_curves")]

    def test_it_renders_text_or_bytes_and_the_same_again(self) -> None:
        """A study in which every kind of trial is."""
        for curves in self.kinds():
            content = export(a_study(), self.exporter, curves=curves)
            assert isinstance(content, str | bytes)
            assert content
            assert export(a_study(), self.exporter, curves=curves) == content

    def test_it_renders_text_that_can_be_written(self) -> None:
        """Names and values of any kind, in UTF-8."""
        for curves in self.kinds():
            content = export(a_study(params={"name": HOSTILE, "é": [1, None], "x": True}), self.exporter, curves=curves)
            assert content if isinstance(content, bytes) else content.encode("utf-8")

    @pytest.mark.parametrize("trials", ["none", "failed"])
    def test_a_study_in_which_nothing_completed(self, trials: str) -> None:
        """It is rendered, or refused in a sentence; it is no crash."""
        study = a_study()
        failed = [trial for trial in study.trials if trial.state == "fail"]
        for curves in self.kinds():
            record = StudyRecord(study.spec, study.data, failed if trials == "failed" else [], study.space)
            try:
                content = export(record, self.exporter, curves=curves)
            except WrongInput as error:
                content = str(error)
            assert content


def a_study(params: dict[str, Any] | None = None) -> StudyRecord:
    """Return a study with a complete, a pruned, a failed, a continued and a running trial.

    params: of every trial, in place of a number and a choice.
    """
    spec = StudySpec.model_validate({
        "name": "suite", "objective": "a.b", "dataset": "none", "metric": "accuracy", "direction": "maximize",
        "n_trials": 5, "max_epochs": 3,
    })  # fmt: skip
    space = {"rate": {"low": 0.0, "high": 1.0, "default": 0.5}, "layers": {"choices": [[1], [1, 2]], "default": [1]}}
    trials = [
        _trial(0, "complete", [0.5, 0.75, 0.625], params),
        _trial(1, "pruned", [0.25], params),
        _trial(2, "fail", [], params, reason="nan"),
        _trial(3, "fail", [0.5], params, reason="lost", continued_by=4),
        _trial(4, "running", [0.5], params, ended=None, value=None),
    ]
    data = {"name": "none", "sha256": "0" * 64, "summary": {"rows": 300}}
    return StudyRecord(spec, data, trials, Space.declared(space))


def _trial(number: int, state: str, curve: list[float], params: dict[str, Any] | None, **given: Any) -> TrialRecord:
    history = [{"accuracy": value, "train_loss": 1.0 / (epoch + 1)} for epoch, value in enumerate(curve)]
    known: dict[str, Any] = {
        "number": number, "state": State(state), "value": max(curve) if state == "complete" else None,
        "params": params or {"rate": 0.1 * number, "layers": [1, 2]}, "epoch": 2 if state == "complete" else None,
        "curve": dict(enumerate(curve, start=1)), "reason": None, "started": START + timedelta(minutes=number),
        "ended": START + timedelta(minutes=number + 1), "continues": None, "continued_by": None,
        "attributes": {"seed": 1000 + number, "history": history, "provenance": {"torch": "2.11", "device": "cpu"}},
    }  # fmt: skip
    return TrialRecord(**(known | given))
