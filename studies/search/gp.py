"""The default sampler: a Gaussian process over parameters and epochs, of settings that trained for long enough.

What settings reached after a sixth of `max_epochs` or more is what it learns from (`studies.search.observed`): after
the first epochs the fastest learners lead, not the best. From these the process expects what any setting has at the
end, and suggests the one of many with the largest expected improvement on the best that it expects of those observed
(Jones, Schonlau and Welch, Efficient Global Optimization, 1998; epochs as one more input: Swersky, Snoek and Adams,
Freeze-Thaw Bayesian Optimization, 2014). Near settings that are running there is less to learn, so workers try
different ones.

What first epochs do say is which settings would be weeded out. So the random ones among the many are halved before, as
trials are: at each rung a process of its own keeps those that may be among the best there, by one draw for each from
what it expects (Thompson, On the likelihood that one unknown probability exceeds another, 1933). Until there are
N_STARTUP observations from later, that is all.

Where settings turn out to train alike, suggestions keep away from all that were tried (`studies.search.alike`).

One trial in five is random: what few settings say may be misleading, and what a model takes for hopeless is looked at
as well.

*Measured*: `benchmarks/results/search.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from studies.search.alike import apart
from studies.search.allowed import drawn
from studies.search.asha import directions_of
from studies.search.cube import Cube
from studies.search.distributions import distribution_of
from studies.search.observed import Observation, Observed
from studies.spec.domain import Fixed
from studies.spec.model import Sampler
from studies.spec.space import Space

if TYPE_CHECKING:
    from studies.search.process import Process

N_SCREENED = 6  # settings that a rung has to have seen before it halves candidates
FACTOR, N_LEFT = 3, 8  # one in so many of these goes on, so many at least
N_STARTUP = 5
RANDOM_SHARE = 1 / 5
N_OBSERVED = 80  # at most: a fit takes time with the third power
HOPELESS = -7.0  # standard deviations from the best: further off, the nearest to the best comes first
N_RANDOM, N_NEAR, N_BEST = 400, 50, 8  # settings that are compared: random ones, and so many near each of the best


class GaussianProcessSampler(BaseSampler):
    """See the module."""

    def __init__(self, space: Space, rungs: Sequence[int], telling: Sequence[int], seed: int) -> None:
        """rungs: where settings are compared, without max_epochs. telling: those to learn from, and max_epochs."""
        self._space = space
        self._rungs = rungs
        self._telling = telling
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
        directions = directions_of(study)
        weights = self._rng.dirichlet(np.ones(len(directions)))
        observed = Observed(trials, directions, self._telling[-1], weights.tolist())
        cube = Cube(search_space)
        begun = cube.points([each.params for each in trials if each.state == TrialState.RUNNING and each.params])
        from studies.search.process import ALGEBRA  # scipy's optimizers take a tenth of a second, for workers alone

        with ALGEBRA.limit(limits=1):
            promising = self._screened(cube, observed)
            candidates, gain = self._compared(cube, observed.at_each(self._telling), promising, begun)
        best_first = candidates[np.argsort(-gain, kind="stable")]
        return self._best_new(cube, apart(best_first, cube, observed.settings, trials), trials)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        return self._at_random.sample_independent(study, trial, param_name, param_distribution)

    def _screened(self, cube: Cube, observed: Observed) -> np.ndarray:
        """Return random points that may well come to the end, [n, parameters]; while little is known, any.

        They are halved as trials are, by what each may reach at a rung: a draw from what is expected there.
        """
        from studies.search.process import Process

        points = cube.at_random(self._rng, N_RANDOM)
        for rung in self._rungs:
            reached = self._some(observed.reported_at(rung, self._rng))
            if len(reached) >= N_SCREENED:
                known = cube.points([each.params for each in reached])
                process = Process(cube.features(known), np.array([each.score for each in reached]))
                inputs = cube.features(points)
                drawn = process.expected(inputs) + process.uncertainty(inputs) * self._rng.normal(size=len(points))
                points = points[np.argsort(-drawn, kind="stable")[: max(len(points) // FACTOR, N_LEFT)]]
        return points

    def _some(self, observed: Sequence[Observation]) -> Sequence[Observation]:
        """Return N_OBSERVED: two in three are those that came furthest, the best first, the others any."""
        if len(observed) <= N_OBSERVED:
            return observed
        first = sorted(observed, key=lambda each: (-each.share, -each.score))
        n_best = N_OBSERVED * 2 // 3
        others = self._rng.choice(len(first) - n_best, N_OBSERVED - n_best, replace=False) + n_best
        return first[:n_best] + [first[index] for index in others]

    def _compared(
        self, cube: Cube, reached: Sequence[Observation], promising: np.ndarray, begun: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return points, [n, parameters], and the improvement that each promises, [n]: the promising and some more."""
        from studies.search.process import Process

        if len(reached) < N_STARTUP:
            return promising, np.zeros(len(promising))
        reached = self._some(reached)
        points = cube.points([each.params for each in reached])
        shares = np.array([each.share for each in reached])
        scores = np.array([each.score for each in reached])
        process = Process(_inputs(cube, shares, points), scores, last_length=1.0)
        at_end = partial(_inputs, cube, np.ones(1))
        different = np.unique(points, axis=0)
        expected = process.expected(at_end(different))
        best = different[np.argsort(-expected, kind="stable")[:N_BEST]]
        candidates = np.concatenate([promising, *(cube.near(self._rng, point, N_NEAR) for point in best)])
        return candidates, _improvement(process, at_end, candidates, float(expected.max()), begun)

    def _best_new(self, cube: Cube, points: np.ndarray, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
        """Return the setting of the first point that is new and keeps the conditions; nothing where there is none."""
        tried = [each.params for each in trials]
        for point in points:
            params = cube.params(point)
            setting, is_allowed = drawn(self._space, params, _nothing)
            if is_allowed and (setting or params) not in tried:
                return params
        return {}


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


def gp(settings: Sampler, space: Space, seed: int, rungs: Sequence[int], telling: Sequence[int]) -> BaseSampler:
    """Model the metric with a Gaussian process."""
    return GaussianProcessSampler(space, rungs, telling, seed)
