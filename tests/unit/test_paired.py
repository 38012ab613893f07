"""Student's t without scipy, and the paired test built on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from studies.search.paired import difference, is_larger, t_quantile, t_tail


@given(st.integers(1, 60), st.floats(-50, 50))
def test_the_tail_is_scipys(df: int, t: float) -> None:
    assert t_tail(t, df) == pytest.approx(stats.t.sf(t, df), abs=1e-12)


@given(st.integers(1, 60), st.floats(1e-5, 0.999))
def test_the_quantile_is_scipys(df: int, tail: float) -> None:
    assert t_quantile(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=5, max_size=5, unique=True), st.floats(-3, 3), st.floats(0.001, 0.4))
def test_it_says_what_scipys_paired_test_says(values: list[float], shift: float, level: float) -> None:
    noise = [0.3, -1.1, 0.7, 0.1, -0.4]
    own = dict(enumerate(values))
    other = {seed: value - shift + noise[seed] for seed, value in own.items()}
    found = stats.ttest_rel(list(own.values()), list(other.values()), alternative="greater")
    if abs(found.pvalue - level) > 1e-6:
        assert is_larger(own, other, level) == (found.pvalue < level)
    both_sides = stats.ttest_rel(list(own.values()), list(other.values()))
    low, high = both_sides.confidence_interval(1 - 2 * level)
    ours = difference(own, other, level)
    assert ours is not None
    assert (ours.n, ours.low, ours.high) == (5, pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_only_shared_seeds_count() -> None:
    assert difference({1: 5.0, 2: 6.0, 3: 99.0}, {1: 4.0, 2: 5.0, 4: 0.0}, 0.05) == (
        difference({1: 5.0, 2: 6.0}, {1: 4.0, 2: 5.0}, 0.05)
    )
    assert difference({1: 5.0}, {1: 4.0}, 0.05) is None


def test_the_same_difference_again_and_again_is_no_certainty() -> None:
    """A metric that counts gives it by chance; where neither side ever varies, chance would have to do more."""
    varying = {seed: 0.01 * seed for seed in range(5)}
    above = {seed: value + 0.01 for seed, value in varying.items()}
    assert not is_larger(above, varying, 0.5**5 - 1e-9)
    assert is_larger(above, varying, 0.5**5 + 1e-9)
    assert is_larger(dict.fromkeys(range(5), 2.0), dict.fromkeys(range(5), 1.0), 0.25**5)
    assert not is_larger(dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5), 1.0), 0.49)
