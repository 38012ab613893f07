"""How far a search is from the best known setting, after so many epochs of all workers together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .simulation import Epoch

Regrets = Mapping[tuple[str, int], float]  # by unit and budget, such as ("epochs", 52)
EPOCHS, BY_RANDOM, SECONDS = "epochs", "epochs_by_random", "seconds"
TITLES = {EPOCHS: "epochs", BY_RANDOM: "epochs, 0 being the best of 1,000 random settings", SECONDS: "seconds"}

BUDGETS = (52, 104, 208, 416, 832, 1664)  # epochs
WORST = 3.0  # regret before any value, and of anything worse
LAST_S = 832  # the largest budget in seconds: cheap settings reach 1,664 epochs sooner


@dataclass(frozen=True)
class Known:
    """What regret is measured by: 0 is the best value known, 1 is what the median random setting reaches.

    epoch_s: seconds an epoch of the median random setting; None where nothing is known of seconds. random: the best of
    1,000 random settings, which is easier to find; None where these are all that there is.
    """

    best: float
    median: float
    epoch_s: float | None = None
    random: float | None = None

    def regret(self, value: float) -> float:
        """Return how far a value is from the best, in units of the median random setting's distance."""
        return (self.best - value) / (self.best - self.median)

    def regret_by_random(self, value: float) -> float:
        """Return the same with the best random setting in place of the best; what is better than that has 0, too."""
        best = self.best if self.random is None else self.random
        return max(0.0, (best - value) / (best - self.median))


def regrets(epochs: Iterable[Epoch], known: Known, n_workers: int) -> Regrets:
    """Return regret after each budget of epochs and, where seconds are known, of seconds.

    A value counts from when it is reported, whatever becomes of its trial; nan never does. Nothing is worse than WORST:
    a recorded loss of 1e18 would drown all others in the mean. The seconds are those of all workers, waiting included,
    in epochs of the median random setting. A search that ends by itself keeps its last regret.
    """
    found: dict[tuple[str, int], float] = {}
    open_s = [budget for budget in BUDGETS if budget <= LAST_S] if known.epoch_s else []
    open_epochs = list(BUDGETS)
    regret = by_random = WORST
    for n_epochs, epoch in enumerate(epochs, start=1):
        spent = epoch.now_s * n_workers / (known.epoch_s or 1.0)
        while open_s and spent > open_s[0]:
            found[SECONDS, open_s.pop(0)] = regret
        if not math.isnan(epoch.value):
            regret = min(regret, known.regret(epoch.value))
            by_random = min(by_random, known.regret_by_random(epoch.value))
        if open_epochs and n_epochs == open_epochs[0]:
            found |= {(EPOCHS, open_epochs[0]): regret, (BY_RANDOM, open_epochs.pop(0)): by_random}
        if not open_epochs and not open_s:
            break
    rest = {(EPOCHS, budget): regret for budget in open_epochs} | {(SECONDS, budget): regret for budget in open_s}
    found |= rest | {(BY_RANDOM, budget): by_random for budget in open_epochs}
    return {key: value for key, value in found.items() if key[0] != BY_RANDOM or known.random is not None}


@dataclass(frozen=True)
class Row:
    """One figure of the table. unit: epochs or seconds. error: of the mean over n tasks and seeds, None of one."""

    who: str
    set: str
    workers: int
    unit: str
    budget: int
    regret: float
    error: float | None
    n: int

    def as_data(self) -> dict[str, object]:
        """Return the row as the JSON file has it."""
        error = None if self.error is None else round(self.error, 4)
        return {
            "who": self.who, "set": self.set, "workers": self.workers, self.unit: self.budget,
            "regret": round(self.regret, 4), "error": error, "n": self.n,
        }  # fmt: skip


def rows(who: str, of: str, workers: int, found: Sequence[Regrets]) -> Iterator[Row]:
    """Yield one row for each unit and budget. of: the set of tasks. found: regrets of each task and seed."""
    for unit, budget in sorted({key for each in found for key in each}):
        values = [each[unit, budget] for each in found if (unit, budget) in each]
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        yield Row(who, of, workers, unit, budget, statistics.fmean(values), error, len(values))


def table(found: Iterable[Row]) -> str:
    """Return the rows as one Markdown table for each set, unit and number of workers."""
    groups: dict[tuple[str, str, int], dict[str, dict[int, Row]]] = {}
    for row in found:
        groups.setdefault((row.set, row.unit, row.workers), {}).setdefault(row.who, {})[row.budget] = row
    lines = []
    for (of, unit, workers), by_who in sorted(groups.items()):
        budgets = sorted({budget for each in by_who.values() for budget in each})
        lines += ["", f"{of}, {workers} worker{'s' * (workers > 1)}: regret after {TITLES[unit]}", ""]
        lines += ["| who | " + " | ".join(map(str, budgets)) + " | n |", "|---" * (len(budgets) + 2) + "|"]
        for who, each in by_who.items():
            cells = [_cell(each[budget]) if budget in each else "" for budget in budgets]
            lines.append(f"| {who} | {' | '.join(cells)} | {next(iter(each.values())).n} |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    return f"{row.regret:.3f}" + ("" if row.error is None else f" ±{row.error:.3f}")
