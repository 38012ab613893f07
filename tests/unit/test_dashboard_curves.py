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
