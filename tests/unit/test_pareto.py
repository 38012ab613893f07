"""The Pareto front and the order behind it, against their definitions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from studies.names import Direction
from studies.pareto import front, losses_of, order

N_METRICS = st.shared(st.integers(min_value=1, max_value=3), key="metrics")
POINTS = N_METRICS.flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, 5).map(float)] * n), max_size=30))


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(POINTS)
def test_the_front_is_what_nothing_beats_each_result_once(losses: list[tuple[float, ...]]) -> None:
    found = front(losses)
    unbeaten = {one for one in losses if not any(beats(other, one) for other in losses)}
    assert sorted(losses[place] for place in found) == sorted(unbeaten)
    assert all(losses.index(losses[place]) == place for place in found), "of equal ones the first is meant"


@given(POINTS)
def test_the_order_has_everything_and_nothing_before_what_beats_it(losses: list[tuple[float, ...]]) -> None:
    found = order(losses)
    assert sorted(found) == list(range(len(losses)))
    assert set(found[: len(front(losses))]) == set(front(losses))
    place = {index: at for at, index in enumerate(found)}
    for one in range(len(losses)):
        for other in range(len(losses)):
            if beats(losses[one], losses[other]):
                assert place[one] < place[other]


@given(st.lists(st.floats(allow_nan=False), max_size=30))
def test_with_one_metric_the_order_is_that_of_the_values(values: list[float]) -> None:
    assert order([(value,) for value in values]) == sorted(range(len(values)), key=lambda place: values[place])


def test_the_first_few_of_a_front_cover_it() -> None:
    crowded = [(0.0, 1.0), (0.01, 0.99), (0.02, 0.98), (0.5, 0.5), (1.0, 0.0)]
    assert order(crowded)[:3] == [0, 4, 3]


def test_an_infinite_loss_is_at_the_end_of_its_metric() -> None:
    assert order([(math.inf, 0.0), (0.0, 1.0), (0.5, 0.5)]) == [1, 0, 2]


def test_losses_are_smaller_where_values_are_better() -> None:
    assert losses_of((0.9, 10), (Direction.MAXIMIZE, Direction.MINIMIZE)) == (-0.9, 10.0)
