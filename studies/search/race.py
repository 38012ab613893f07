"""The best few again under fresh seeds: who is out of the race, who won, and how sure that is.

A contender is out, and trains under no more seeds, as soon as another is better with near certainty: racing, as in
Maron and Moore, Hoeffding Races (NIPS 1994), with the paired t-test that Birattari et al. race configurations with
(A Racing Algorithm for Configuring Metaheuristics, GECCO 2002). How often it is looked at is paid for (Bonferroni):
half of ERROR goes to all looks before the end together, half to the verdicts at the end, each in equal parts to all
rivals. So the contender that is truly the best is told to be worse in at most 5 of 100 confirmations, be it early or at
the end, whatever the others are. (Of five that are truly equal, some one is told to be worse in 16 of 100.) A test
simulates both. Repeating a finished confirmation with more seeds is another look, which these figures do not include.

What the study file gave to start with runs under every seed: whether the search beat it is a question of its own.

With several metrics there is no race: every contender runs under every seed, and each metric has its mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from studies.names import CONFIRMS, CONTENDER, CONTINUED_BY, REASON, SEED, Direction, is_feasible, may_be_best
from studies.search.paired import Difference, difference, is_larger

ERROR = 0.05
MIN_PAIRS = 3  # of two the t-test says hardly anything

BEST, NO_DIFFERENCE, WORSE, STOPPED, UNFINISHED = "best", "no difference", "worse", "stopped early", "unfinished"
TRAINED = "trained"  # under all seeds, of several metrics


@dataclass
class Contender:
    """Parameters under fresh seeds. trial: of the study. values: by seed, and others: those of the metrics after the
    first. failure: why one training was in vain."""

    trial: int
    given: bool = False
    values: dict[int, float] = field(default_factory=dict)
    stopped: bool = False
    failure: str | None = None
    running: bool = False
    others: dict[int, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """One contender's result. difference: to the best contender's, over the seeds that both trained under.

    others: mean and standard deviation of each metric after the first.
    """

    trial: int
    given: bool
    values: dict[int, float]
    mean: float | None
    sd: float | None
    difference: Difference | None
    verdict: str
    others: tuple[tuple[float, float | None], ...] = ()

    @property
    def spreads(self) -> tuple[tuple[float, float | None], ...]:
        """Mean and standard deviation of each of the study's metrics; empty where nothing has trained."""
        return () if self.mean is None else ((self.mean, self.sd), *self.others)

    @property
    def may_be_best(self) -> bool:
        """Whether nothing says that another is better."""
        return self.verdict in (BEST, NO_DIFFERENCE)


@dataclass(frozen=True)
class Confirmation:
    """How the contenders stand, the best first."""

    n_seeds: int
    standings: list[Standing]

    @property
    def finished(self) -> bool:
        """Whether every contender has an end."""
        return not any(standing.verdict == UNFINISHED for standing in self.standings)

    @property
    def is_repeatable(self) -> bool:
        """Whether each contender had one and the same value under all of its seeds, so that seeds mean nothing."""
        several = [one.values.values() for one in self.standings if len(one.values) > 1]
        return bool(several) and all(max(values) == min(values) for values in several)

    @property
    def came_through(self) -> list[Standing]:
        """Those that trained under all seeds."""
        return [standing for standing in self.standings if len(standing.values) == self.n_seeds]

    @property
    def winner(self) -> Standing | None:
        """The one with the best mean over all seeds; None before the end, when none came through all seeds,
        and with several metrics."""
        first = next(iter(self.standings), None)
        return first if first is not None and first.verdict == BEST else None


class Race(BasePruner):
    """Optuna's view of it: prunes what can no longer win, before its first epoch or in its middle."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """See BasePruner."""
        if len(study.directions) > 1:
            return False
        race = study.user_attrs[CONFIRMS]
        field = contenders(study.get_trials(deepcopy=False), race["published"])
        own = next((one for one in field if one.trial == trial.user_attrs.get(CONTENDER)), None)
        sign = Direction(study.direction.name.lower()).sign
        return own is not None and is_out(own, field, sign, len(race["seeds"]))


def contenders(trials: Iterable[FrozenTrial], given: int | None) -> list[Contender]:
    """Return the contenders of a confirmation's trials, in the order in which they were queued.

    given: the contender with the best settings of `start_with`.
    """
    field: dict[int, Contender] = {}
    for (number, seed), trial in last_trials(trials).items():
        one = field.setdefault(number, Contender(number, number == given))
        if may_be_best(trial):
            one.values[seed], *others = trial.values
            one.others[seed] = tuple(others)
        elif trial.state == TrialState.COMPLETE:
            one.failure = "infinite" if is_feasible(trial.constraints) else "infeasible"
        elif trial.state == TrialState.PRUNED:
            one.stopped = True
        elif trial.state == TrialState.FAIL:
            one.failure = trial.user_attrs.get(REASON, "failed")
        else:
            one.running = True
    return list(field.values())


def last_trials(trials: Iterable[FrozenTrial]) -> dict[tuple[int, int], FrozenTrial]:
    """Return the trial that counts of each contender under each seed: the completed one, or else the last."""
    last: dict[tuple[int, int], FrozenTrial] = {}
    for trial in trials:
        attributes = trial.user_attrs
        if CONTENDER in attributes and CONTINUED_BY not in attributes:
            pair = attributes[CONTENDER], attributes[SEED]
            if pair not in last or last[pair].state != TrialState.COMPLETE:
                last[pair] = trial
    return last


def is_out(own: Contender, field: Sequence[Contender], sign: int, n_seeds: int) -> bool:
    """Whether a contender can no longer win; once out, always out. sign: 1 when larger is better, else -1."""
    if own.given:
        return False
    return (
        own.stopped
        or own.failure is not None
        or any(_is_beaten(own, rival, sign, n_seeds, len(field) - 1) for rival in field if rival is not own)
    )


def stand(field: Sequence[Contender], sign: int, n_seeds: int, n_metrics: int = 1) -> Confirmation:
    """Return how the contenders stand; with several metrics, those with the best mean in the first one first."""
    if n_metrics > 1:
        return Confirmation(n_seeds, [_standing(one, None, _end(one, n_seeds)) for one in _by_mean(field, sign)])
    through = [one for one in field if len(one.values) == n_seeds]
    through.sort(key=lambda one: -sign * fmean(one.values.values()))
    if any(one.running for one in field) or not through:
        return Confirmation(n_seeds, [_standing(one, None, _end(one)) for one in _by_mean(field, sign)])
    best = through[0]
    others = [one for one in _by_mean(field, sign) if one is not best]
    others.sort(key=lambda one: len(one.values) < n_seeds)
    standings = [_standing(best, None, BEST)]
    for one in others:
        verdict = _end(one)
        if verdict == UNFINISHED:
            worse = _is_beaten(one, best, sign, n_seeds, len(field) - 1)
            verdict = WORSE if worse else NO_DIFFERENCE
        elif verdict == STOPPED:
            verdict = _why_stopped(one, [best, *others], sign, n_seeds)
        level = _level(len(one.values), n_seeds, len(field) - 1)
        standings.append(_standing(one, difference(one.values, best.values, level), verdict))
    return Confirmation(n_seeds, standings)


def _end(one: Contender, n_seeds: int | None = None) -> str:
    """Return how far it has come. n_seeds: of several metrics, where that is all there is to tell."""
    if one.failure is not None:
        return f"failed ({one.failure})"
    if len(one.values) == n_seeds:
        return TRAINED
    return STOPPED if one.stopped else UNFINISHED


def _why_stopped(own: Contender, field: Sequence[Contender], sign: int, n_seeds: int) -> str:
    """Return who ended its race, the best contender or, as it may be, one with a steadier difference to it."""
    for rival in field:
        if rival is not own and _is_beaten(own, rival, sign, n_seeds, len(field) - 1):
            return f"{WORSE} than trial {rival.trial}, {STOPPED}"
    return STOPPED


def _by_mean(field: Sequence[Contender], sign: int) -> list[Contender]:
    return sorted(field, key=lambda one: (not one.values, -sign * fmean(one.values.values() or [0.0])))


def _standing(one: Contender, found: Difference | None, verdict: str) -> Standing:
    values = list(one.values.values())
    middle, sd = _spread(values) if values else (None, None)
    others = tuple(_spread(column) for column in zip(*one.others.values(), strict=True))
    return Standing(one.trial, one.given, one.values, middle, sd, found, verdict, others)


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return fmean(values), stdev(values) if len(values) > 1 else None


def _is_beaten(own: Contender, rival: Contender, sign: int, n_seeds: int, n_rivals: int) -> bool:
    n = len(own.values.keys() & rival.values.keys())
    if n < min(MIN_PAIRS, n_seeds):
        return False
    better = {seed: sign * value for seed, value in rival.values.items()}
    worse = {seed: sign * value for seed, value in own.values.items()}
    return is_larger(better, worse, _level(n, n_seeds, n_rivals))


def _level(n_pairs: int, n_seeds: int, n_rivals: int) -> float:
    """Return the probability of an error that one test of one pair of contenders may have."""
    level = ERROR / 2 / max(n_rivals, 1)
    return level if n_pairs >= n_seeds else level / max(n_seeds - MIN_PAIRS, 1)
