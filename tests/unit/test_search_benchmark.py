"""The instrument of `benchmarks/search.py`: the virtual clock, what counts, and who decides, without the data."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks.searching.contenders import CONTENDERS
from benchmarks.searching.known import known
from benchmarks.searching.optunas import PausedHalving
from benchmarks.searching.ours import Ours
from benchmarks.searching.regret import BUDGETS, WORST, Known, Row, regrets, rows, table
from benchmarks.searching.simulation import Epoch, Params, Run, Search, simulate
from benchmarks.searching.tasks import DataMissing, RecordedTask, tasks_of

HALVING = {"sampler": {"name": "random"}, "pruner": {"name": "successive_halving"}}
FAST = [name for name, each in CONTENDERS.items() if not each.needs and not each.n_others]


@dataclass(frozen=True)
class Line:
    """A training whose metric is the same from its first epoch on, unless it diverges."""

    value: float
    epoch_s: float = 1.0
    diverges_at: float = math.inf

    def at(self, epoch: int) -> float:
        return math.nan if epoch >= self.diverges_at else self.value


class Toy:
    """The larger x, the better. An epoch of x takes `seconds[x]`, else one second; above `broken` it diverges."""

    name = "toy"
    maximize = True
    space: ClassVar[dict[str, dict[str, Any]]] = {"x": {"low": 0.0, "high": 1.0}}

    def __init__(self, max_epochs: int = 9, seconds: dict[float, float] | None = None, broken: float = 1.0) -> None:
        self.max_epochs = max_epochs
        self._seconds = seconds or {}
        self._broken = broken

    def curve(self, params: Params) -> Line:
        x = params["x"]
        return Line(x, self._seconds.get(x, 1.0), 2 if x > self._broken else math.inf)

    def forget(self) -> None:
        """Nothing is kept."""


class Scripted:
    """Starts the given settings one after the other and stops each after `stop_at` epochs."""

    def __init__(self, *xs: float, stop_at: float = math.inf) -> None:
        self._xs = list(xs)
        self._stop_at = stop_at
        self.seen: list[tuple[float, int, float]] = []

    def start(self) -> Run | None:
        return Run({"x": self._xs.pop(0)}) if self._xs else None

    def report(self, run: Run, value: float) -> bool:
        self.seen.append((run.params["x"], run.epoch, value))
        return run.epoch < self._stop_at


def taken(task: Any, search: Search, n_workers: int, n: int) -> list[Epoch]:
    return list(itertools.islice(simulate(task, search, n_workers), n))


class TestTheClock:
    def test_each_worker_trains_at_the_pace_of_its_setting(self) -> None:
        epochs = list(simulate(Toy(2, {0.25: 1.0, 0.5: 3.0}), Scripted(0.5, 0.25, 0.25), 2))
        when = [(each.params["x"], each.epoch, each.now_s) for each in epochs]
        # Of two that end at 3 s, the slow one began first. The fast worker took the third setting at 2 s.
        assert when == [(0.25, 1, 1), (0.25, 2, 2), (0.5, 1, 3), (0.25, 1, 3), (0.25, 2, 4), (0.5, 2, 6)]

    @pytest.mark.parametrize("n_workers", [1, 4, 16])
    def test_all_trials_train_exactly_their_epochs(self, n_workers: int) -> None:
        epochs = list(simulate(Toy(5), Scripted(*np.linspace(0, 1, 8)), n_workers))
        assert len(epochs) == 8 * 5
        assert epochs[-1].now_s == 5 * math.ceil(8 / n_workers)
        assert set(Counter(each.params["x"] for each in epochs).values()) == {5}

    def test_a_search_stops_a_trial_and_its_worker_takes_the_next_at_once(self) -> None:
        epochs = list(simulate(Toy(5), Scripted(0.0, 0.5, 1.0, stop_at=2), 1))
        assert [(each.params["x"], each.epoch) for each in epochs] == [(x, e) for x in (0.0, 0.5, 1.0) for e in (1, 2)]

    def test_what_diverges_is_reported_once_and_never_goes_on(self) -> None:
        search = Scripted(0.9, 0.1)
        list(simulate(Toy(3, broken=0.5), search, 1))
        assert [seen[:2] for seen in search.seen] == [(0.9, 1), (0.9, 2), (0.1, 1), (0.1, 2), (0.1, 3)]
        assert math.isnan(search.seen[1][2])

    def test_a_search_sees_nothing_before_its_time(self) -> None:
        search = Scripted(0.0, 1.0)
        for epoch in simulate(Toy(2, {0.0: 1.0, 1.0: 10.0}), search, 2):
            assert search.seen[-1] == (epoch.params["x"], epoch.epoch, epoch.value)
        assert [x for x, _, _ in search.seen] == [0.0, 0.0, 1.0, 1.0]

    def test_a_run_that_is_trained_to_the_end_cannot_be_started_again(self) -> None:
        class Again(Scripted):
            def start(self) -> Run | None:
                return Run({"x": 0.5}, epoch=3)

        with pytest.raises(ValueError, match="that is all of them"):
            next(simulate(Toy(3), Again(), 1))


class TestPausing:
    def test_a_paused_trial_goes_on_where_it_was_and_no_epoch_is_trained_twice(self) -> None:
        epochs = taken(Toy(9), PausedHalving(Toy(9), seed=1), 1, 200)
        trained = Counter((each.params["x"], each.epoch) for each in epochs)
        assert set(trained.values()) == {1}
        for x in {each.params["x"] for each in epochs}:
            own = [each.epoch for each in epochs if each.params["x"] == x]
            assert own == list(range(1, len(own) + 1))

    def test_about_one_in_three_goes_on_from_each_rung(self) -> None:
        epochs = taken(Toy(9), PausedHalving(Toy(9), seed=1), 1, 300)
        n = [sum(each.epoch == rung for each in epochs) for rung in (1, 3, 9)]
        for below, above in itertools.pairwise(n):  # more than a third: who led when few had come stays where it is
            assert below / 3 - 2 <= above <= below / 2 + 1
        assert max(each.params["x"] for each in epochs if each.epoch == 9) == max(each.params["x"] for each in epochs)

    def test_what_diverged_is_not_resumed(self) -> None:
        epochs = taken(Toy(9, broken=0.5), PausedHalving(Toy(9), seed=1), 4, 200)
        assert max(each.epoch for each in epochs if each.params["x"] > 0.5) == 2


class TestOurs:
    def test_halving_stops_all_but_the_best_at_the_first_rung(self) -> None:
        search = Ours(Toy(9), 0, HALVING)
        epochs = taken(Toy(9), search, 1, 100)
        ends = {each.params["x"]: each.epoch for each in epochs[:-1]}  # in the order of the trials
        seen: list[float] = []
        for x, last in list(ends.items())[:-1]:
            seen.append(x)
            rank = sorted(seen, reverse=True).index(x)
            assert (last > 1) == (rank < max(len(seen) // 3, 1))

    def test_the_trials_of_a_study_are_what_its_run_trial_makes_them(self) -> None:
        search = Ours(Toy(9, broken=0.75), 0, HALVING)
        taken(Toy(9, broken=0.75), search, 4, 300)
        trials = search._study.get_trials(deepcopy=False)
        states = Counter(trial.state.name for trial in trials)
        assert states["PRUNED"] > states["COMPLETE"] > 0
        assert states["RUNNING"] <= 4
        for trial in trials:
            if trial.state.name == "COMPLETE":
                assert list(trial.intermediate_values) == list(range(1, 10))
                assert trial.value == trial.params["x"]
                assert len(trial.user_attrs["history"]) == 9
            if trial.state.name == "FAIL":
                assert trial.params["x"] > 0.75

    def test_its_trials_are_paused_and_go_on_where_they_were(self) -> None:
        epochs = taken(Toy(9), Ours(Toy(9), 0, {}), 1, 200)
        trained = Counter((each.params["x"], each.epoch) for each in epochs)
        assert set(trained.values()) == {1}
        runs = [x for x, _ in itertools.groupby(each.params["x"] for each in epochs)]
        assert len(runs) > len(set(runs))  # some were resumed after another had trained
        assert len(set(runs[:3])) == 3  # nobody knows yet whether the first is any good

    def test_the_default_is_the_products(self) -> None:
        search = Ours(Toy(9), 0, {})
        default = type(search._course.spec).model_fields
        assert search._course.spec.pruner == default["pruner"].default
        assert search._course.spec.sampler.name == default["sampler"].default.name

    def test_what_was_best_in_others_runs_first(self) -> None:
        before = CONTENDERS["ours"].make(Toy(9), 0)
        best = max(epoch.params["x"] for epoch in taken(Toy(9), before, 1, 100) if epoch.epoch == 9)
        assert before.best == {"x": best}
        search = CONTENDERS["ours --from 1 others"].make(Toy(9), 1, first=[before.best])
        assert taken(Toy(9), search, 1, 1)[0].params == {"x": best}


@pytest.mark.parametrize("who", FAST)
class TestEveryContender:
    def test_the_same_seed_gives_the_same_epochs_and_another_does_not(self, who: str) -> None:
        first, again, other = (taken(Toy(9), CONTENDERS[who].make(Toy(9), seed), 4, 60) for seed in (0, 0, 1))
        assert first == again
        assert first != other

    def test_no_trial_is_longer_than_its_epochs_or_outlives_divergence(self, who: str) -> None:
        epochs = taken(Toy(4, broken=0.8), CONTENDERS[who].make(Toy(4), 0), 4, 60)
        assert len(epochs) == 60
        assert max(each.epoch for each in epochs) <= 4
        assert max((each.epoch for each in epochs if each.params["x"] > 0.8), default=2) == 2


class TestRegret:
    KNOWN = Known(best=1.0, median=0.5)

    def test_it_is_of_the_best_so_far_after_so_many_epochs(self) -> None:
        epochs = [Epoch(n, {}, 1, 0.5 if n < 60 else 0.75 if n < 500 else 0.0) for n in range(1, 2000)]
        found = regrets(epochs, self.KNOWN, 1)
        assert found == {("epochs", budget): 1.0 if budget == 52 else 0.5 for budget in BUDGETS}

    def test_seconds_are_those_of_all_workers_in_median_epochs(self) -> None:
        epochs = [Epoch(n, {}, 1, n / 1000) for n in range(1, 1001)]  # 1 s an epoch on each of 4 workers
        found = regrets(epochs, Known(1.0, 0.0, epoch_s=2.0), 4)
        assert found["seconds", 52] == pytest.approx(1 - 26 / 1000)  # 104 s, 26 on each

    def test_it_is_also_told_by_the_best_random_setting_and_better_than_that_is_0(self) -> None:
        epochs = [Epoch(n, {}, 1, 0.6 if n < 60 else 0.9) for n in range(1, 2000)]
        found = regrets(epochs, Known(1.0, 0.5, random=0.7), 1)
        assert found["epochs_by_random", 52] == pytest.approx(0.5)
        assert found["epochs_by_random", 104] == 0.0

    def test_nothing_counts_as_worse_than_the_bound_and_nan_never_counts(self) -> None:
        found = regrets([Epoch(1, {}, 1, -1e18), Epoch(2, {}, 1, math.nan)], self.KNOWN, 1)
        assert set(found.values()) == {WORST}

    def test_minimized_metrics_need_no_other_formula(self) -> None:
        assert Known(best=0.2, median=0.6).regret(0.4) == pytest.approx(0.5)

    def test_a_row_is_the_mean_with_its_standard_error(self) -> None:
        (row,) = rows("ours", "lcbench", 4, [{("epochs", 52): 0.2}, {("epochs", 52): 0.4}])
        assert row.as_data() == {
            "who": "ours", "set": "lcbench", "workers": 4, "epochs": 52, "regret": 0.3, "error": 0.1, "n": 2,
        }  # fmt: skip

    def test_the_table_has_a_line_for_each_contender(self) -> None:
        lines = table([Row("ours", "lcbench", 4, "epochs", budget, 0.25, 0.01, 340) for budget in (52, 104)])
        assert "lcbench, 4 workers: regret after epochs" in lines
        assert "| ours | 0.250 ±0.010 | 0.250 ±0.010 | 340 |" in lines


class TestTasks:
    def test_a_recorded_task_trains_the_nearest_setting(self) -> None:
        settings = np.array([[1e-4, 0.1], [1e-2, 0.1], [1e-2, 0.9]])
        losses = np.array([[3.0, 2.0], [2.0, 1.0], [1.0, math.nan]])
        task = RecordedTask("t", ["learning_rate", "beta1"], settings, losses)
        assert task.space["learning_rate"] == {"low": 1e-4, "high": 1e-2, "log": True}
        near = task.curve({"learning_rate": 5e-3, "beta1": 0.2})
        assert [near.at(1), near.at(2)] == [2.0, 1.0]
        assert math.isnan(task.curve({"learning_rate": 1e-2, "beta1": 0.8}).at(2))

    def test_settings_that_diverge_at_once_are_the_worst_and_spoil_no_scale(self) -> None:
        losses = np.array([[math.nan, math.nan], [2.0, 1.0], [4.0, 3.0], [0.5, math.nan], [9.0, 8.0]])
        task = RecordedTask("t", ["beta1"], np.linspace(0, 1, 5)[:, None], losses)
        assert known(task) == Known(best=0.5, median=3.0)

    def test_a_folder_without_the_data_says_what_it_lacks(self, tmp_path: Any) -> None:
        with pytest.raises(DataMissing, match=r"has no lcbench.onnx and no lcbench_tasks.json; .* --curves"):
            tasks_of("lcbench", tmp_path)
        with pytest.raises(DataMissing, match=r"has no taskset_"):
            tasks_of("taskset", tmp_path)
