"""How many workers share a GPU: decided by what they measure, here by what a simulated GPU lets them measure."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.run.packing import MARGIN, MIN_GAIN, RECENT, Packing, Reading

GIB = 1024.0


@dataclass
class Device:
    """A GPU with workers that all train alike. speeds: of all together, by their number; the last one of more.

    kept_gib: what a process keeps by its own account; context_gib: what the device reports beyond that.
    """

    speeds: list[float]
    total_gib: float = 24.0
    kept_gib: float = 1.5
    context_gib: float = 0.5
    foreign_gib: float = 1.0
    n_waiting: int = 7
    n_epochs: dict[int, int] = field(default_factory=dict)

    def packing(self) -> Packing:
        return Packing(self.total_gib * GIB, self.foreign_gib * GIB)

    def used_mib(self, n: int) -> float:
        return (self.foreign_gib + n * (self.kept_gib + self.context_gib)) * GIB

    def train(self, packing: Packing, n_epochs: int = 1) -> bool:
        """Let every worker that may run train, as one trial; return whether the number of workers changes."""
        n = packing.n
        speed = self.speeds[min(n, len(self.speeds)) - 1] / n
        for worker in range(n):
            self.n_epochs[worker] = self.n_epochs.get(worker, 0) + n_epochs
        kept, used = self.kept_gib * GIB, self.used_mib(n)
        readings = {
            worker: Reading(
                n_trials=1,
                n_epochs=self.n_epochs[worker],
                speeds=(speed,) * min(self.n_epochs[worker], RECENT),
                peak_mib=kept,
                beyond_mib=used - kept,
            )
            for worker in range(n)
        }
        return packing.decide(used, readings, self.n_waiting + 1 - n)

    def settle(self, packing: Packing, n_steps: int = 200) -> int:
        for _ in range(n_steps):
            self.train(packing)
        return packing.n


def test_the_first_trial_runs_alone_to_its_end() -> None:
    packing = Device([100.0]).packing()
    running = Reading(n_epochs=50, speeds=(100.0,) * RECENT, peak_mib=GIB, beyond_mib=1.5 * GIB)
    assert not packing.decide(2.5 * GIB, {1: running}, 7)
    assert not packing.decide(2.5 * GIB, {}, 7)
    assert (packing.n, packing.share) == (1, 1.0)


def test_workers_join_while_all_together_are_faster() -> None:
    device = Device([100.0, 180.0, 240.0, 250.0])
    packing = device.packing()
    assert device.train(packing)
    assert packing.n == 2
    assert packing.why == "2 workers: a trial takes 2.0 GiB of 24.0 GiB"
    assert not any(device.train(packing) for _ in range(3))  # the first epoch beside another says nothing
    assert device.train(packing)
    assert packing.n == 3
    assert device.settle(packing) == 3
    assert packing.why == "3 workers, no longer 4: together they were 1.04 times as fast as 3"


def test_memory_is_what_a_process_keeps_and_what_the_device_reports_beyond() -> None:
    device = Device([100.0, 200.0, 300.0, 400.0], total_gib=6.0)
    packing = device.packing()
    assert device.settle(packing) == 2  # 3 x 1.15 x 2 GiB are more than 5 GiB
    assert packing.peak_mib == 2.0 * GIB
    assert packing.why == "2 workers: a trial takes 2.0 GiB of 6.0 GiB, and 1.15 times that is not free for another"


def test_a_process_keeps_no_more_than_its_part() -> None:
    device = Device([100.0, 200.0, 201.0])
    packing = device.packing()
    assert device.settle(packing) == 2
    assert packing.share == pytest.approx((23 / 2 - 0.5) / 24)


def test_one_leaves_when_a_trial_turns_out_larger() -> None:
    device = Device([100.0, 200.0, 300.0, 301.0], total_gib=9.0)
    packing = device.packing()
    assert device.settle(packing) == 3
    device.kept_gib = 3.0
    assert device.settle(packing) == 2
    assert packing.why == "2 workers, no longer 3: a trial took 3.5 GiB, and 3 of these do not fit"


def test_a_program_is_measured_while_it_runs_though_its_worker_knows_nothing_of_it() -> None:
    packing = Packing(24 * GIB, GIB)
    known = Reading(1, 1, (100.0,))
    assert not packing.decide(4 * GIB, {}, 7)  # the first one runs, and reports no epoch
    assert packing.decide(GIB, {1: known}, 7)
    assert packing.why == "2 workers: a trial takes 3.0 GiB of 24.0 GiB"


@pytest.mark.parametrize(("used_gib", "n"), [(17.0, 2), (20.0, 2), (23.5, 2), (7.0, 3)])
def test_larger_programs_leave_less_room_for_others(used_gib: float, n: int) -> None:
    packing = Packing(24 * GIB, GIB)
    known = Reading(1, 1, (100.0,))
    packing.decide(4 * GIB, {1: known}, 7)
    packing.decide(used_gib * GIB, {1: known, 2: known}, 7)
    more = Reading(9, 40, (100.0,) * RECENT)
    packing.decide(GIB, {1: more, 2: more}, 7)
    assert packing.n == n


def test_where_trials_take_turns_no_second_worker_stays() -> None:
    device = Device([100.0, 100.0])
    packing = device.packing()
    assert device.settle(packing) == 1
    assert packing.why == "1 worker, no longer 2: together they were 1.00 times as fast as 1"
    assert packing.share == 1.0


def test_without_workers_that_wait_nobody_joins() -> None:
    assert Device([100.0, 200.0], n_waiting=0).settle(Device([100.0]).packing()) == 1


def test_a_worker_that_was_replaced_is_judged_by_its_own_epochs() -> None:
    packing = Packing(24 * GIB, 0.0)
    first = Reading(1, 40, (100.0,) * RECENT, GIB)
    assert packing.decide(GIB, {1: first}, 7)
    again = Reading(0, 4, (90.0,) * 4, GIB)
    assert not packing.decide(2 * GIB, {1: first, 2: again}, 7)  # the first one has done nothing since
    assert packing.decide(2 * GIB, {3: again, 2: again}, 7)
    assert packing.n == 3


@given(
    speeds=st.lists(st.floats(1.0, 1e6), min_size=1, max_size=8),
    total_gib=st.floats(1.0, 80.0),
    kept_gib=st.floats(0.01, 40.0),
    n_waiting=st.integers(0, 7),
)
def test_whatever_is_measured_all_fit_and_each_was_worth_it(
    speeds: list[float], total_gib: float, kept_gib: float, n_waiting: int
) -> None:
    device = Device(speeds, total_gib=total_gib, kept_gib=kept_gib, n_waiting=n_waiting)
    packing = device.packing()
    n = device.settle(packing)
    assert 1 <= n <= n_waiting + 1
    if n > 1:
        assert n * MARGIN * packing.peak_mib <= packing.available_mib
        gains = [packing.speed[k] / packing.speed[k - 1] for k in range(2, n + 1)]
        assert all(gain >= MIN_GAIN - 1e-9 for gain in gains)
    assert 0 <= packing.share <= 1
    assert device.settle(packing) == n  # it stays so


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 30.0), st.floats(0.0, 1e4)), max_size=30))
def test_any_sequence_of_readings_leaves_at_least_one_worker(steps: list[tuple[int, float, float]]) -> None:
    packing, n_epochs = Packing(24 * GIB, GIB), 0
    for n_readings, gib, speed in steps:
        n_epochs += 5
        reading = Reading(1, n_epochs, (speed,) * 5, gib * GIB, gib * GIB)
        before = packing.n
        changed = packing.decide(gib * GIB, dict.fromkeys(range(n_readings), reading), 3)
        assert changed == (packing.n != before)
        assert packing.n >= 1
        assert abs(packing.n - before) <= 1
        assert packing.most is None or packing.n <= packing.most
