"""What a process remembers of one study: the trials it has read, and those that it runs itself.

A finished trial never changes, so it is read once. Others' unfinished trials are read again each time.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies.storage.own import OwnTrial
from studies.storage.rows import detached
from studies.storage.rungs import Rungs

MANY_MISSED = 100  # trials
UNFINISHED = frozenset({TrialState.RUNNING, TrialState.WAITING})


@dataclass(frozen=True)
class Census:
    """How many trials a study has, as a claim counts them; see `functions.CLAIM`, whose arguments these are.

    Enough for a worker whose sampler looks at no other trials: it need not read any.
    """

    after: int = -1
    last_number: int = -1
    n_done: int = 0
    unfinished: str = "{}"  # PostgreSQL's array, which only goes back to it


class StudyMemory:
    """What this process has read of one study. `lock` is held while it is being read or changed."""

    def __init__(self, study_id: int, name: str, directions: list[StudyDirection]) -> None:
        self.study_id = study_id
        self.name = name
        self.directions = directions
        self.lock = threading.RLock()
        self.own: dict[int, OwnTrial] = {}
        self._newest_own = -1  # the highest number of a trial that ran here
        self.forget_read(0)

    def forget_read(self, n_lost: int) -> None:
        """Start reading anew: a server that crashed may have taken back what was seen, and given its ids again."""
        self.n_lost = n_lost  # connections, until now
        self.rungs = Rungs()
        self.census = Census()
        self.distributions: dict[str, BaseDistribution] = {}
        self._by_number: list[FrozenTrial | None] = []
        self._n_placed = 0  # trials in it
        self._finished: dict[int, FrozenTrial] = {}
        self._unfinished: dict[int, FrozenTrial] = {}  # others', as last read
        self._signatures: dict[int, int | None] = {}  # theirs, as last read
        self._ended_here: set[int] = set()  # by this process, and newer than what was read
        self._after, self._last_number = -1, -1  # the newest trial that was read: its id and number
        self._n_by_state = dict.fromkeys(TrialState, 0)
        self._best: dict[StudyDirection, FrozenTrial] = {}
        for own in self.own.values():
            self._place(own.trial)

    def seen(self, ended_only: bool = False) -> dict[str, Any]:
        """Return what statements need to know that ask for changes.

        ended_only: trials that run or wait are of no interest.
        """
        with self.lock:
            own = list(self.own)
            known = {} if ended_only else self._signatures
            unknown = 0 if ended_only else -1
            return {
                "study_id": self.study_id,
                "after": self._after,
                "last_number": self._last_number,
                "watched": [*self._unfinished, *own],
                "signatures": [
                    *(known.get(trial_id, unknown) for trial_id in self._unfinished),
                    *[None] * len(own),
                ],
                "known": list(self._ended_here),
                "own": own,
                "newest_own": self._newest_own,
            }

    @property
    def is_behind(self) -> bool:
        """Whether so much was missed that a statement about what is new would look at many trials."""
        return self._after < 0 or self._newest_own - self._last_number > MANY_MISSED

    def add_read(self, read: Collection[tuple[FrozenTrial, int | None]], seen: Mapping[str, Any]) -> None:
        """Take in what came back when the changes since `seen` were asked for, all the time under the lock."""
        for trial, signature in read:
            if trial.state.is_finished():
                self.own.pop(trial._trial_id, None)
                self._add_finished(trial)
            elif trial._trial_id not in self._finished:
                self._unfinished[trial._trial_id] = trial
                self._signatures[trial._trial_id] = signature
                self._place(trial)
        for trial_id in self.own:
            self._unfinished.pop(trial_id, None)
        # All that is older than a trial of one's own was committed before it, and so has been read too.
        ids = [trial._trial_id for trial, _ in read]
        self._after = max([self._after, *ids, *seen["own"], *seen["known"]])
        self._last_number = max([self._last_number, seen["newest_own"], *(trial.number for trial, _ in read)])
        self._ended_here = {trial_id for trial_id in self._ended_here if trial_id > self._after}

    def add_ended(self, trial: FrozenTrial) -> None:
        """Take in a trial that this process has just ended."""
        with self.lock:
            self.own.pop(trial._trial_id, None)
            if trial._trial_id > self._after:
                self._ended_here.add(trial._trial_id)
            self._add_finished(trial)

    def adopt(self, trial: FrozenTrial, n_lost: int) -> None:
        """Make a running trial this process's own."""
        with self.lock:
            self._unfinished.pop(trial._trial_id, None)
            self._signatures.pop(trial._trial_id, None)
            self._newest_own = max(self._newest_own, trial.number)
            self.own[trial._trial_id] = OwnTrial(self, trial, n_lost)
            self._place(detached(trial))

    def disown(self, trial_id: int) -> None:
        """Read a trial from the database again."""
        with self.lock:
            own = self.own.pop(trial_id, None)
            if own is not None:
                self._unfinished[trial_id] = own.trial

    def finished(self, trial_id: int) -> FrozenTrial | None:
        """Return a finished trial, if known."""
        return self._finished.get(trial_id)

    def id_of(self, number: int) -> int | None:
        """Return the id of the trial with this number, if known."""
        trial = self._by_number[number] if 0 <= number < len(self._by_number) else None
        return None if trial is None else trial._trial_id

    def trials(self, states: Collection[TrialState] | None) -> list[FrozenTrial]:
        """Return the trials in these states, or all, by number."""
        with self.lock:
            return self._trials(states)

    def _trials(self, states: Collection[TrialState] | None) -> list[FrozenTrial]:
        own = {own.number: own.trial for own in self.own.values()}
        if states is not None and UNFINISHED.issuperset(states):
            unfinished = {trial.number: trial for trial in self._unfinished.values()} | own
            return [unfinished[number] for number in sorted(unfinished) if unfinished[number].state in states]
        trials = list(self._by_number)
        for number, trial in own.items():
            trials[number] = trial
        if states is None and self._n_placed == len(trials):
            return trials  # type: ignore[return-value]  # no number is missing
        return [trial for trial in trials if trial is not None and (states is None or trial.state in states)]

    def n_trials(self, states: Collection[TrialState] | None) -> int:
        """Return how many trials are in these states, or are there at all."""
        wanted = frozenset(TrialState) if states is None else frozenset(states)
        return sum(self._n_by_state[state] for state in wanted) + len(self.trials(wanted & UNFINISHED))

    def best(self, direction: StudyDirection) -> FrozenTrial | None:
        """Return the complete trial with the best value."""
        return self._best.get(direction)

    def _add_finished(self, trial: FrozenTrial) -> None:
        self._unfinished.pop(trial._trial_id, None)
        self._signatures.pop(trial._trial_id, None)
        if trial._trial_id in self._finished:
            return
        self._finished[trial._trial_id] = trial
        self._place(trial)
        self._n_by_state[trial.state] += 1
        if trial.state == TrialState.COMPLETE and trial.values:
            self._compare(trial)

    def _compare(self, trial: FrozenTrial) -> None:
        """Keep the best in either direction; among equals the first."""
        for direction, sign in ((StudyDirection.MAXIMIZE, -1), (StudyDirection.MINIMIZE, 1)):
            best = self._best.get(direction)
            if best is None or (sign * trial.values[0], trial.number) < (sign * best.values[0], best.number):
                self._best[direction] = trial

    def _place(self, trial: FrozenTrial) -> None:
        trials = self._by_number
        trials.extend([None] * (trial.number + 1 - len(trials)))
        self._n_placed += trials[trial.number] is None
        trials[trial.number] = trial
        for name, distribution in trial.distributions.items():
            self.distributions.setdefault(name, distribution)
