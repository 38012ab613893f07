"""Bounds on what a trial measures: what they may say, and which epoch of a trial is its best under them."""

from __future__ import annotations

import math
import sys

import pytest
from pydantic import ValidationError

from studies import outcomes
from studies.errors import NothingToExport
from studies.exporters import export
from studies.report.page import render
from studies.spec import StudySpec
from studies.spec.bound import Bound

from ..reports import make_report, make_trial

KEYS = {"name": "x", "objective": "a.b", "direction": "maximize", "n_trials": 3}


@pytest.mark.parametrize(
    ("text", "measured", "excess"),
    [
        ("<= 2e6", 2e6, 0.0),
        ("<= 2e6", 2e6 + 5, 5.0),
        ("<=3", 1, -2.0),
        (" >= 0.9 ", 0.4, 0.5),
        (">= -1", -1, 0.0),
        ("<= 1", math.nan, sys.float_info.max),
        (">= 1", math.nan, sys.float_info.max),
        ("<= 1", math.inf, sys.float_info.max),
        (">= 1", math.inf, -sys.float_info.max),
    ],
)
def test_an_excess_is_in_the_unit_of_what_is_measured(text: str, measured: float, excess: float) -> None:
    assert Bound.read(text).excess(measured) == pytest.approx(excess)


@pytest.mark.parametrize(
    ("given", "example"),
    [
        *[(text, '"<= 2e6" or ">= 0.9"') for text in ("<= many", "<= nan", "<= inf", "", "<= 1e999", None, True)],
        *[(text, '"<= 3" or ">= 3"') for text in ("< 3", "3", "== 3", "<= 3 and >= 2", 3, [3])],
        (-0.5, '"<= -0.5" or ">= -0.5"'),
        ("2E6 bytes", '"<= 2E6" or ">= 2E6"'),
    ],
)
def test_what_is_no_bound_is_said_with_an_example(given: object, example: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StudySpec.model_validate(KEYS | {"constraints": {"n": given}})
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == (("constraints", "n"), f"expected such as {example}")


def test_without_constraints_nothing_new_is_stored() -> None:
    assert "constraints" not in StudySpec.model_validate(KEYS).model_dump()
    bounded = StudySpec.model_validate(KEYS | {"constraints": {"n": "<= 3"}})
    assert bounded.model_dump()["constraints"] == {"n": "<= 3"}
    assert bounded.bounds == {"n": Bound(True, 3.0)}


def test_where_no_trial_is_feasible_all_say_so_and_what_comes_nearest() -> None:
    record = make_report([
        make_trial(0, [0.9], constraints={"size": 95.0, "ms": -1.0}),
        make_trial(1, [0.8], constraints={"size": 40.0, "ms": 0.0}),
        make_trial(2, [0.7], constraints={"size": 1.0, "ms": 3.0}),
        make_trial(3, [0.7], state="pruned"),
    ])  # fmt: skip
    why = "no completed trial is feasible, and trial 1 comes nearest: it violates size by 40.0000 (3 complete (3 infeas"
    assert record.best is None
    with pytest.raises(NothingToExport, match="has nothing to export or to train yet, for no completed trial is feas"):
        export(record, "yaml")
    assert f"made-up: {why}" in outcomes.best(record)
    assert f"There is no answer yet, for {why}" in render(record, "md")


def test_a_measurement_that_is_no_number_is_infeasible_and_said() -> None:
    excess = Bound.read("<= 3").excess(math.nan)
    record = make_report([make_trial(0, [0.9], constraints={"ms": excess})])
    assert record.lacks.endswith("trial 0 comes nearest: it violates ms by more than any number")
