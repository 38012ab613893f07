"""The arithmetic of `benchmarks/scaling.py`: what a journal says, without anything that runs."""

from __future__ import annotations

import pytest

from benchmarks.sleeping.journal import Span, busy, spans, window


def waves(n_workers: int, n_waves: int, trial_s: float, pause_s: float) -> list[Span]:
    """Trials one after another on each worker, a pause behind each; workers begin a hundredth of a second apart."""
    return sorted(
        (
            Span(worker, begin := worker / 100 + wave * (trial_s + pause_s), begin + trial_s)
            for worker in range(n_workers)
            for wave in range(n_waves)
        ),
        key=lambda span: span.begin,
    )


def test_a_journal_is_read_in_the_order_in_which_trials_began() -> None:
    lines = ["begin 7 1.0", "begin 8 1.5", "end 8 3.5", "end 7 4.0", "begin 7 4.5"]
    assert spans(lines) == [Span(7, 1.0, 4.0), Span(8, 1.5, 3.5), Span(7, 4.5)]


def test_it_is_measured_between_the_start_of_the_last_worker_and_that_of_the_last_trial() -> None:
    assert window(waves(4, 3, 5.0, 0.0), 4) == pytest.approx((0.03, 10.03))
    with pytest.raises(ValueError, match="8 at least"):
        window(waves(4, 1, 5.0, 0.0), 4)


@pytest.mark.parametrize("n_workers", [1, 4, 64])
@pytest.mark.parametrize("pause_s", [0.0, 0.2, 5.0])
def test_workers_are_busy_but_for_their_pauses(n_workers: int, pause_s: float) -> None:
    expected = 5.0 / (5.0 + pause_s)
    assert busy(waves(n_workers, 5, 5.0, pause_s), n_workers, 5.0) == pytest.approx(expected)


def test_time_in_reports_is_not_busy() -> None:
    assert busy(waves(2, 5, 6.0, 0.0), 2, 5.0) == pytest.approx(5 / 6)


def test_a_trial_that_still_runs_counts_as_far_as_it_is_seen() -> None:
    trials = waves(2, 3, 5.0, 0.0)
    assert busy([*trials[:-2], *(Span(span.pid, span.begin) for span in trials[-2:])], 2, 5.0) == pytest.approx(1)


def test_a_worker_without_trials_is_idle() -> None:
    trials = [span for span in waves(2, 9, 5.0, 0.0) if span.pid == 0 or span.begin < 1]
    assert busy(trials, 2, 5.0) < 0.6
