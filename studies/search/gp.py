"""The default sampler: a Gaussian process over parameters and epochs, of settings that trained for long enough.

What settings reached after a sixth of `max_epochs` or more is what it learns from: after the first epochs the fastest
learners lead, not the best. At each such rung the values are replaced by their ranks as a normal distribution has them,
so neither the metric's scale nor one wild value matters; several metrics are ranked as `studies.pareto` orders them.
From these the process expects what any setting has at the end, and suggests the one of many with the largest expected
improvement on the best that it expects of those observed (Jones, Schonlau and Welch, Efficient Global Optimization,
1998; epochs as one more input: Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization, 2014). Near settings that
are running there is less to learn, so workers try different ones.

While there are fewer than N_STARTUP observations it suggests at random, and now and then later, too: what few settings
say may be misleading, and what a model takes for hopeless is looked at as well.

*Measured*: `benchmarks/results/search.md`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from studies.names import REASON, Direction, Reason, is_feasible
from studies.pareto import losses_of, order
from studies.search.allowed import drawn
from studies.search.asha import Setting, directions_of, settings_of
from studies.search.cube import Cube
from studies.search.distributions import distribution_of
from studies.search.out_of_memory import OUT_OF_MEMORY
from studies.search.ranking import LAST, values_at
from studies.spec.model import Sampler
from studies.spec.space import Fixed, Space

if TYPE_CHECKING:
    from studies.search.process import Process

N_STARTUP = 5
RANDOM_SHARE = 1 / 3
N_OBSERVED = 80  # at most: a fit takes time with the third power
HOPELESS = -7.0  # standard deviations from the best: further off, the nearest to the best comes first
N_RANDOM, N_NEAR, N_BEST = 400, 50, 8  # settings that are compared: random ones, and so many near each of the best


class GaussianProcessSampler(BaseSampler):
    """See the module."""

    def __init__(self, space: Space, rungs: Sequence[int], seed: int) -> None:
        """rungs: after how many epochs settings are compared, the last of which is max_epochs."""
        self._space = space
        self._rungs = rungs
        self._rng = np.random.default_rng(seed)
        self._at_random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler. Of a plain function's parameters, which nobody declares, those that all trials have."""
        declared = {
            name: distribution_of(parameter.domain)
            for name, parameter in self._space.parameters.items()
            if not isinstance(parameter.domain, Fixed) and self._space.possible(parameter)
        }
        return declared or IntersectionSearchSpace(include_pruned=True).calculate(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler. Nothing where it is to be random."""
        if not search_space or self._rng.random() < RANDOM_SHARE:
            return {}
        trials = study._get_trials(deepcopy=False)
        observed = observations(trials, self._rungs, directions_of(study))
        if len(observed) < N_STARTUP:
            return {}
        running = [each for each in trials if each.state == TrialState.RUNNING and each.params]
        tried = [each.params for each in trials]
        return self._suggested(Cube(search_space), self._some(observed), running, tried)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        return self._at_random.sample_independent(study, trial, param_name, param_distribution)

    def _some(self, observed: Sequence[Observation]) -> Sequence[Observation]:
        """Return N_OBSERVED: two in three are those that came furthest, the best first, the others any."""
        if len(observed) <= N_OBSERVED:
            return observed
        first = sorted(observed, key=lambda each: (-each.share, -each.score))
        n_best = N_OBSERVED * 2 // 3
        others = self._rng.choice(len(first) - n_best, N_OBSERVED - n_best, replace=False) + n_best
        return first[:n_best] + [first[index] for index in others]

    def _suggested(
        self,
        cube: Cube,
        observed: Sequence[Observation],
        running: Sequence[FrozenTrial],
        tried: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Return the most promising setting that is new and keeps the conditions; nothing where there is none."""
        from studies.search.process import ALGEBRA  # scipy's optimizers take a tenth of a second, for workers alone

        with ALGEBRA.limit(limits=1):
            candidates, gain = self._compared(cube, observed, running)
        for index in np.argsort(-gain, kind="stable"):
            params = cube.params(candidates[index])
            setting, is_allowed = drawn(self._space, params, _nothing)
            if is_allowed and (setting or params) not in tried:
                return params
        return {}

    def _compared(
        self, cube: Cube, observed: Sequence[Observation], running: Sequence[FrozenTrial]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return points, [n, parameters], and the improvement that each promises, [n]."""
        from studies.search.process import Process

        points = np.array([cube.point(each.params) for each in observed])
        begun = np.array([cube.point(each.params) for each in running]).reshape(len(running), points.shape[1])
        shares = np.array([each.share for each in observed])
        process = Process(_inputs(cube, shares, points), np.array([each.score for each in observed]), last_length=1.0)
        at_end = partial(_inputs, cube, np.ones(1))
        different = np.unique(points, axis=0)
        expected = process.expected(at_end(different))
        best = different[np.argsort(-expected, kind="stable")[:N_BEST]]
        near = [cube.near(self._rng, point, N_NEAR) for point in best]
        candidates = np.concatenate([cube.at_random(self._rng, N_RANDOM), *near])
        return candidates, _improvement(process, at_end, candidates, float(expected.max()), begun)


@dataclass(frozen=True)
class Observation:
    """What one setting reached. share: of max_epochs, in logarithms: 1 is the end. score: larger is better."""

    params: Mapping[str, Any]
    share: float
    score: float


def observations(
    trials: Sequence[FrozenTrial], rungs: Sequence[int], directions: Sequence[Direction]
) -> list[Observation]:
    """Return what settings reached at each rung, and those that failed for what they are: the worst at the first.

    Trials with numbers below 0 are of other studies.
    """
    settings = [Setting(-1, trial, {}) for trial in trials if trial.number < 0]
    settings += settings_of([trial for trial in trials if trial.number >= 0], len(directions))
    settings = [each for each in settings if not _failed_by_itself(each.last)]
    failed = [trial for trial in trials if trial.params and _failed_by_itself(trial)]
    found: list[Observation] = []
    for rung in rungs:
        share = math.log(rung) / math.log(rungs[-1]) if rungs[-1] > 1 else 1.0
        ranked = _ranked(settings, LAST if rung == rungs[-1] else rung, directions)
        ranked += [(trial, None) for trial in failed] if rung == rungs[0] else []
        place = 0
        for _, group in itertools.groupby(ranked, key=lambda each: each[1]):
            equal = [trial for trial, _ in group]
            score = -NormalDist().inv_cdf((place + len(equal) / 2) / len(ranked))
            found += [Observation(trial.params, share, score) for trial in equal]
            place += len(equal)
    return found


def _ranked(
    settings: Sequence[Setting], rung: float, directions: Sequence[Direction]
) -> list[tuple[FrozenTrial, object]]:
    """Return the last trials of those that came to a rung, the best first, each with what equal ones have in common."""
    groups: dict[bool, list[tuple[FrozenTrial, tuple[float, ...]]]] = {True: [], False: []}  # by whether feasible
    for setting in settings:
        values = values_at(setting, rung)
        if values is not None:
            groups[is_feasible(setting.last.constraints)].append((setting.last, losses_of(values, directions)))
    return [
        (group[place][0], (is_kept, group[place][1]))
        for is_kept, group in groups.items()
        for place in order([losses for _, losses in group])
    ]


def _failed_by_itself(trial: FrozenTrial) -> bool:
    """Whether its parameters made it fail: it ran out of memory, or diverged."""
    is_nan = trial.user_attrs.get(REASON) == Reason.NAN
    return trial.state == TrialState.FAIL and (is_nan or trial.constraints.get(OUT_OF_MEMORY, 0.0) > 0)


def _inputs(cube: Cube, shares: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return what the process is of: points, each with the share of the epochs, or all with the same one."""
    return np.column_stack([cube.features(points), np.broadcast_to(shares, len(points))])


def _improvement(
    process: Process,
    at_end: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    best: float,
    begun: np.ndarray,
) -> np.ndarray:
    """Return the logarithm, nearly, of the improvement that each of the points promises at the end, [n].

    begun: points that are being trained. What is known there soon is not to be learned once more.
    """
    inputs = at_end(points)
    expected, uncertainty = process.expected(inputs), process.uncertainty(inputs)
    if len(begun):
        nearest = process.covariance(inputs, at_end(begun)).max(axis=1)
        uncertainty = uncertainty * np.sqrt(np.maximum(1 - nearest**2, 1e-6))
    distance = (expected - best) / uncertainty
    normal = NormalDist()
    gain = np.array([each * normal.cdf(each) + normal.pdf(each) for each in np.maximum(distance, HOPELESS)])
    promised: np.ndarray = np.where(distance > HOPELESS, np.log(gain) + np.log(uncertainty), distance - 1e3)
    return promised


def _nothing(name: str, distribution: BaseDistribution) -> Any:
    raise KeyError(name)


def gp(settings: Sampler, space: Space, seed: int, rungs: Sequence[int]) -> BaseSampler:
    """Model the metric with a Gaussian process."""
    return GaussianProcessSampler(space, rungs, seed)
