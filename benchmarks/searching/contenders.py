"""Everybody who searches, by name. A contender is made for a task and a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from .optunas import Optuna, PausedHalving
from .ours import Ours
from .peers import Neps, SyneTune
from .simulation import Search, Task


@dataclass(frozen=True)
class Contender:
    """make: returns the search for a task and a seed. run_s: about what a run of 1,664 epochs takes on a quiet core.

    needs: the packages that it is of, which may not be installed. n_others: how many other tasks were searched before,
    by the default, whose best settings `make` takes as `first`.
    """

    make: Callable[..., Search]
    run_s: float = 1.0
    needs: tuple[str, ...] = ()
    n_others: int = 0

    @property
    def missing(self) -> str | None:
        """Why it cannot be measured; None where it can."""
        lacking = [package for package in self.needs if find_spec(package) is None]
        return f"{' and '.join(lacking)} not installed" if lacking else None


def _ours(sampler: str = "", pruner: str = "", **about: Any) -> Contender:
    """Return this product as a study file has it that names these, or leaves them to the product."""
    part = {key: {"name": name} for key, name in (("sampler", sampler), ("pruner", pruner)) if name}
    return Contender(partial(Ours, part=part), **about)


def _optuna(sampler: Callable[..., BaseSampler], pruner: Callable[[Task], BasePruner], **about: Any) -> Contender:
    def make(task: Task, seed: int) -> Search:
        return Optuna(task, seed, sampler(seed=seed), pruner(task))

    return Contender(make, **about)


def _median(task: Task) -> BasePruner:
    return MedianPruner()


def _hyperband(task: Task) -> BasePruner:
    return HyperbandPruner(max_resource=task.max_epochs)  # as its documentation does


def _halving(task: Task) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=1)  # "auto" waits for the first complete trial


def _none(task: Task) -> BasePruner:
    return NopPruner()


OURS = "ours"  # the default
SYNE_TUNE, NEPS = ("syne_tune",), ("neps",)
CONTENDERS = {
    OURS: _ours(run_s=6),
    **{f"ours --from {n} others": _ours(run_s=6, n_others=n) for n in (1, 3, 5, 10)},
    "ours tpe + asha": _ours("tpe", "asha"),
    "ours tpe + hyperband": _ours("tpe", "hyperband"),
    "ours random + asha": _ours("random", "asha"),
    **{f"ours {sampler} + asha": _ours(sampler, "asha", run_s=5) for sampler in ("cmaes", "qmc", "nsga2")},
    **{f"ours gp + {pruner}": _ours("gp", pruner, run_s=6) for pruner in ("hyperband", "median", "none")},
    "ours gp + successive_halving": _ours("gp", "successive_halving", run_s=6),
    "ours tpe + successive_halving": _ours("tpe", "successive_halving"),
    "ours random + successive_halving": _ours("random", "successive_halving"),
    "optuna tpe + median (as shipped)": _optuna(TPESampler, _median),
    "optuna tpe + hyperband": _optuna(TPESampler, _hyperband),
    "optuna gp + median": _optuna(GPSampler, _median, run_s=200, needs=("scipy",)),
    "random + optuna halving": _optuna(RandomSampler, _halving),
    "random alone": _optuna(RandomSampler, _none),
    "random + halving that pauses (prototype)": Contender(PausedHalving),
    "syne tune ASHA": Contender(partial(SyneTune, scheduler="ASHA"), needs=SYNE_TUNE),
    "syne tune BOHB": Contender(partial(SyneTune, scheduler="BOHB"), run_s=40, needs=SYNE_TUNE),
    "syne tune ASHACQR": Contender(
        partial(SyneTune, scheduler="ASHACQR"), run_s=200, needs=(*SYNE_TUNE, "huggingface_hub")
    ),
    "neps hyperband (as shipped)": Contender(partial(Neps, algorithm="hyperband"), run_s=4, needs=NEPS),
    "neps priorband": Contender(partial(Neps, algorithm="priorband"), run_s=4, needs=NEPS),
}
