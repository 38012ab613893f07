"""What a study's trials have shown of their settings, as the default sampler learns from it: a score at each rung.

At a rung the values are replaced by their ranks as a normal distribution has them, so neither the metric's scale nor
one wild value matters. Several metrics are weighed at random, anew for each suggestion, so that suggestions go to all
parts of the front (Knowles, ParEGO, 2006; here of ranks, so that no metric's scale matters).
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from studies.names import REASON, Direction, Reason, is_feasible
from studies.pareto import Losses, losses_of
from studies.search.asha import Setting, settings_of
from studies.search.out_of_memory import ran_out_of_memory
from studies.search.ranking import LAST, values_at

N_EARLY = 400
ALL_COUNT = 0.05  # how much all metrics count beside the one that is furthest behind for its weight, as in ParEGO


@dataclass(frozen=True)
class Observation:
    """What one setting reached. share: of max_epochs, in logarithms: 1 is the end. score: larger is better."""

    params: Mapping[str, Any]
    share: float
    score: float


class Observed:
    """What the trials of a study have shown. Those with numbers below 0 are of other studies.

    settings: those that did not fail for what they are.
    """

    def __init__(
        self,
        trials: Sequence[FrozenTrial],
        directions: Sequence[Direction],
        max_epochs: int,
        weights: Sequence[float],
    ) -> None:
        """weights: how much each of the metrics counts."""
        self.settings = [each for each in settings_of(trials, len(directions)) if not _failed_by_itself(each.last)]
        self._failed = [trial for trial in trials if trial.params and _failed_by_itself(trial)]
        self._directions = directions
        self._max_epochs = max_epochs
        self._weights = weights

    def at_each(self, rungs: Sequence[int]) -> list[Observation]:
        """Return what settings reached rung by rung, the best first.

        Those that failed for what they are count as the worst at the first rung.
        """
        found = [self._scored(self._ranked(self.settings, rungs[0]), self._failed, rungs[0])]
        found += [self._scored(self._ranked(self.settings, rung), [], rung) for rung in rungs[1:]]
        return [each for at_rung in found for each in at_rung]

    def reported_at(self, rung: int, rng: np.random.Generator) -> list[Observation]:
        """Return what those that reported their epochs had at a rung, the best first, and those that failed.

        Of more than N_EARLY settings, any so many: more would teach nothing new.
        """
        reported = [each for each in self.settings if each.curve]
        failed = self._failed
        if len(reported) + len(failed) > N_EARLY:
            share = N_EARLY / (len(reported) + len(failed))
            reported = [reported[place] for place in rng.permutation(len(reported))[: round(share * len(reported))]]
            failed = [failed[place] for place in rng.permutation(len(failed))[: round(share * len(failed))]]
        return self._scored(self._ranked(reported, rung), failed, rung)

    def _scored(
        self, ranked: Sequence[tuple[FrozenTrial, object]], failed: Sequence[FrozenTrial], rung: int
    ) -> list[Observation]:
        share = math.log(rung) / math.log(self._max_epochs) if self._max_epochs > 1 else 1.0
        ranked = [*ranked, *((trial, None) for trial in failed)]
        found: list[Observation] = []
        for _, group in itertools.groupby(ranked, key=lambda each: each[1]):
            equal = [trial for trial, _ in group]
            score = -NormalDist().inv_cdf((len(found) + len(equal) / 2) / len(ranked))
            found += [Observation(trial.params, share, score) for trial in equal]
        return found

    def _ranked(self, settings: Sequence[Setting], rung: int) -> list[tuple[FrozenTrial, object]]:
        """Return the last trials of those that came to a rung, each with what equal ones have in common."""
        groups: dict[bool, list[tuple[FrozenTrial, tuple[float, ...]]]] = {True: [], False: []}  # by whether feasible
        for setting in settings:
            values = values_at(setting, LAST if rung == self._max_epochs else rung)
            if values is not None:
                is_kept = is_feasible(setting.last.constraints)
                groups[is_kept].append((setting.last, losses_of(values, self._directions)))
        return [
            (group[place][0], (is_kept, group[place][1]))
            for is_kept, group in groups.items()
            for place in weighed([losses for _, losses in group], self._weights)
        ]


def weighed(losses: Sequence[Losses], weights: Sequence[float]) -> list[int]:
    """Return the places of results, the best first where the metrics count so much; of equal ones the first."""
    behind = []
    for weight, column in zip(weights, zip(*losses, strict=True), strict=bool(losses)):
        ordered = sorted(column)
        behind.append([weight * (bisect_left(ordered, one) + bisect_right(ordered, one)) for one in column])
    totals = [max(each) + ALL_COUNT * sum(each) for each in zip(*behind, strict=True)]
    return sorted(range(len(losses)), key=totals.__getitem__)


def _failed_by_itself(trial: FrozenTrial) -> bool:
    """Whether its parameters made it fail: it ran out of memory, or diverged."""
    diverged = trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) == Reason.NAN
    return diverged or ran_out_of_memory(trial)
