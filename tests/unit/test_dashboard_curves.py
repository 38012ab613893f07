"""The dashboard's curves: every number that a trial may report has a place in them."""

from __future__ import annotations

import pytest

from studies.names import State
from studies.storage.pages import Curve
from studies.web.curves import HEIGHT, drawing


@pytest.mark.parametrize("value", [0.0, 0.5, -1e20, 1e300])
def test_curves_at_one_value_lie_in_the_middle_however_large_it_is(value: float) -> None:
    drawn = drawing([Curve(0, State.RUNNING, [1], [value]), Curve(1, State.COMPLETE, [1, 2], [value, value])], [1])
    assert drawn is not None
    assert [tick.text for tick in drawn.x] == ["1", "2"]
    (mark,) = drawn.y
    assert 0 < mark.at < HEIGHT
    places = {point.partition(",")[2] for line in drawn.lines for point in line.points.split()}
    assert places == {f"{mark.at:.1f}"}


@pytest.mark.parametrize(
    ("low", "high", "epochs", "x", "y"),
    [
        (0.0382, 0.9786, 12, "2 4 6 8 10 12", "0.2 0.4 0.6 0.8"),
        (0.5, 0.50031, 3, "1 2 3", "0.5 0.5001 0.5002 0.5003"),
        (-1234.0, 4321.0, 100, "20 40 60 80 100", "-1000 0 1000 2000 3000 4000"),
        (-1e308, 1e308, 2, "1 2", "-1e+308"),
        (0.0, 5e-324, 5, "1 2 3 4 5", "0"),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, epochs: int, x: str, y: str) -> None:
    drawn = drawing([Curve(0, State.COMPLETE, [1, epochs], [low, high])], [])
    assert drawn is not None
    assert " ".join(tick.text for tick in drawn.x) == x
    assert " ".join(tick.text for tick in drawn.y) == y
