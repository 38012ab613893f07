"""What TPE and CMA-ES are shown: settings that trained for long enough, ranked across all numbers of epochs.

Left to itself, TPE ranks a pruned trial by how far it came before it looks at its value, and so takes for good
whatever was promoted while there were few to compare with. And it learns from first epochs, after which the fastest
learners lead, not the best. Here settings are ranked as halving in step would rank them: by their values at the first
rung that says something; the best 1 / reduction_factor of these, by their values at the next; and so on to the end.
Those that stopped earlier are not shown. While TPE sees fewer than its `n_startup_trials`, it suggests at random. One
trial in RANDOM_SHARE is shown nothing and so is random, too, for what few settings say may be misleading.

CMA-ES, left to itself, counts complete trials alone, which are few where most are paused.

Several metrics are one place each in the order of `studies.pareto`, so TPE sees one metric to minimize.

*Measured*: `benchmarks/results/search.md`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Container, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies.pareto import losses_of, order
from studies.search.asha import Setting, directions_of, rungs_of, settings_of
from studies.search.out_of_memory import ran_out_of_memory

if TYPE_CHECKING:
    from optuna import Study

    from studies.spec import StudySpec

RANDOM_SHARE = 3
MIN_SHARE = 1 / 6  # of max_epochs: what trained for less says little of the end
LAST = math.inf  # the rung of those that are complete


def telling_rungs(spec: StudySpec) -> list[int]:
    """Return after how many epochs a trial's value says something of its last."""
    return [rung for rung in rungs_of(spec) if rung >= MIN_SHARE * spec.max_epochs]


class Ranked:
    """A study as TPE sees it for one trial: ended trials are complete, with their place as their value."""

    def __init__(self, study: Study, spec: StudySpec, is_random: bool) -> None:
        """is_random: whether the trial is one that suggests at random."""
        self._study = study
        self._is_random = is_random
        self._metrics = directions_of(study)
        self.directions = study.directions if len(self._metrics) == 1 else [StudyDirection.MINIMIZE]
        self._rungs = [*telling_rungs(spec), LAST]
        self._factor = spec.pruner.reduction_factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    @property
    def direction(self) -> StudyDirection:
        """Of the places."""
        return self.directions[0]

    def _is_multi_objective(self) -> bool:
        return False

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]

    @cached_property
    def _shown(self) -> list[FrozenTrial]:
        if self._is_random:
            return []
        trials = self._study._get_trials(deepcopy=False)
        settings = settings_of(trials, len(self._metrics))
        sign = -1 if self.direction == StudyDirection.MAXIMIZE else 1
        places = [sign * float(place) for place in range(len(trials))]
        ranked = self._in_order(settings)
        ended = [_complete(setting.last, place) for setting, place in zip(ranked, places, strict=False)]
        ended += [_complete(trial, sign * math.inf) for trial in trials if ran_out_of_memory(trial)]
        return ended + [trial for trial in trials if trial.state == TrialState.RUNNING]

    def _in_order(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return those that came to the first rung, the best first."""
        behind: list[list[Setting]] = []  # those that end at each rung
        for rung in self._rungs:
            known = [(values, setting) for setting in settings if (values := values_at(setting, rung)) is not None]
            came = [known[place][1] for place in order([losses_of(values, self._metrics) for values, _ in known])]
            if behind:  # those that came here are no longer behind
                here = {id(setting) for setting in came}
                behind[-1] = [setting for setting in behind[-1] if id(setting) not in here]
            behind.append(came)
            settings = came[: max(len(came) // self._factor, 1)]
        return [setting for group in reversed(behind) for setting in group]


def values_at(setting: Setting, rung: float) -> Sequence[float] | None:
    """Return its values at a rung, None where it did not come there; a plain function may report none but its last."""
    trial = setting.last
    is_complete = trial.state == TrialState.COMPLETE and bool(trial.values)
    if rung == LAST or not setting.curve:
        return trial.values if is_complete else None
    values = setting.after(int(rung))
    return None if values is None or any(map(math.isnan, values)) else values


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state, shown.values = TrialState.COMPLETE, [value]
    return shown
