"""How many workers share a GPU, decided by what they measure (`workers_per_gpu: auto`). Touches nothing.

The first trial runs alone. Its peak is the memory that its process keeps by its own account, plus what the device
reports beyond that: the context, libraries, other frameworks, a program. A trial is at least as large as all that run
together are in the mean. Another worker joins while MARGIN times the largest peak
so far is free for each, and stays if all together are MIN_GAIN times as fast as before; else one leaves, and it stays
at that. A trial that turns out larger may leave too little for so many: then one leaves, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from studies.words import plural

MARGIN = 1.15  # of memory, for each worker
MIN_GAIN = 1.10  # of speed, of all together
EPOCHS_TO_JUDGE = 3  # of each worker, after its first one, which another's start has disturbed
RECENT = 32  # epochs whose speed a worker reports
MIB_PER_GIB = 1024


@dataclass(frozen=True)
class Reading:
    """What a worker measured of itself.

    n_trials: that it has ended. n_epochs: of all its trials. speeds: of the last RECENT ones at most, in examples/s, or
    in epochs/s where the objective reports no `examples_per_s`. peak_mib: the most that its process ever kept of the
    GPU's memory, by its own account; 0 where that is not known. beyond_mib: the most that the device ever reported in
    use, by all processes, beyond what this one kept at that moment.
    """

    n_trials: int = 0
    n_epochs: int = 0
    speeds: tuple[float, ...] = ()
    peak_mib: float = 0.0
    beyond_mib: float = 0.0


@dataclass
class Packing:
    """The workers of one GPU. total_mib: its memory; foreign_mib: of it, what was in use before they began.

    n: how many may run. why: the last decision in words, for a person.
    """

    total_mib: float
    foreign_mib: float
    n: int = 1
    why: str = "the first trial runs alone"
    peak_mib: float = 0.0
    beyond_mib: float = 0.0  # what the device reports of a worker beyond its own account
    most: int | None = None  # found to be too slow, or too large, with one more
    speed: dict[int, float] = field(default_factory=dict)  # of all together, by their number
    _seen: dict[int, int] = field(default_factory=dict)  # epochs of each worker when n changed last

    def decide(self, used_mib: float, readings: Mapping[int, Reading], n_waiting: int) -> bool:
        """Take in a measurement; return whether n has changed.

        used_mib: of the device, now. readings: of those that may run, by process id. n_waiting: workers that could
        join.
        """
        self._measure_memory(used_mib, readings)
        if self.n > 1 and self.n * self.peak_mib > self.available_mib:
            return self._leave(f"a trial took {_gib(self.peak_mib)}, and {self.n} of these do not fit", readings)
        speeds = [self._since_change(pid, reading) for pid, reading in readings.items()]
        if len(readings) < self.n or not all(speeds):
            return False
        is_new, gained = self.n not in self.speed, ""
        self.speed[self.n] = sum(median(own) for own in speeds)
        if is_new and self.n > 1:
            gain = self.speed[self.n] / self.speed[self.n - 1] if self.speed[self.n - 1] else MIN_GAIN
            if gain < MIN_GAIN:
                return self._leave(f"together they were {gain:.2f} times as fast as {self.n - 1}", readings)
            self.why = f"{plural(self.n, 'worker')}: {gain:.2f} times as fast as {self.n - 1}"
            gained = f"{self.n} are {gain:.2f} times as fast as {self.n - 1}, and "
        return n_waiting > 0 and self._join(used_mib, readings, gained)

    @property
    def available_mib(self) -> float:
        """The device's memory without what others use."""
        return self.total_mib - self.foreign_mib

    @property
    def share(self) -> float:
        """Which part of the device's memory a worker may keep by its own account, so that it fits beside the others."""
        if self.n == 1:
            return 1.0
        return max(0.0, self.available_mib / self.n - self.beyond_mib) / self.total_mib

    def _measure_memory(self, used_mib: float, readings: Mapping[int, Reading]) -> None:
        # What a program uses is not on its worker's account, nor seen by it where no epoch is reported. But the largest
        # trial has at least the mean of all; one that was asked to leave ends its trial first.
        n_running = self.n if self.most is None else self.n + 1
        self.peak_mib = max(self.peak_mib, (used_mib - self.foreign_mib) / n_running)
        if self.n == 1 and self.most is None:  # later it is not known whose it is
            self.beyond_mib = max([0.0, *(reading.beyond_mib - self.foreign_mib for reading in readings.values())])
        self.peak_mib = max([self.peak_mib, *(self.beyond_mib + reading.peak_mib for reading in readings.values())])

    def _since_change(self, pid: int, reading: Reading) -> tuple[float, ...]:
        """Return a worker's speeds since n changed; none while they are too few to judge by."""
        n_epochs = reading.n_epochs - self._seen.get(pid, 0)
        if self.n == 1 and self.most is None:
            return reading.speeds if reading.n_trials else ()  # the first trial, as a whole
        recent = min(n_epochs - 1, len(reading.speeds))
        return reading.speeds[-recent:] if recent >= EPOCHS_TO_JUDGE else ()

    def _join(self, used_mib: float, readings: Mapping[int, Reading], gained: str) -> bool:
        if self.n == self.most:
            return False
        each = MARGIN * self.peak_mib
        takes = f"{gained}a trial takes {_gib(self.peak_mib)} of {_gib(self.total_mib)}"
        if (self.n + 1) * each > self.available_mib or used_mib + each > self.total_mib:
            self.why = f"{plural(self.n, 'worker')}: {takes}, and {MARGIN:g} times that is not free for another"
            return False
        self._change(self.n + 1, readings)
        self.why = f"{plural(self.n, 'worker')}: {takes}"
        return True

    def _leave(self, why: str, readings: Mapping[int, Reading]) -> bool:
        self._change(self.n - 1, readings)
        self.most = self.n
        self.why = f"{plural(self.n, 'worker')}, no longer {self.n + 1}: {why}"
        return True

    def _change(self, n: int, readings: Mapping[int, Reading]) -> None:
        self.n = n
        self._seen = {pid: reading.n_epochs for pid, reading in readings.items()}


def _gib(mib: float) -> str:
    return f"{mib / MIB_PER_GIB:.1f} GiB"
