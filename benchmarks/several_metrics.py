"""How good is the Pareto front that a search with two metrics has found? Samplers and pruning, on two known problems.

    python benchmarks/several_metrics.py [--seeds 10] [--json FILE]

Needs nothing but the package, and no quiet machine: what is counted is trained epochs, and the same seed gives the same
rows. The problems are ZDT1 (Zitzler, Deb and Thiele, 2000) and DTLZ2 (Deb et al., 2002) with two objectives and four
parameters. In a study of one epoch they are as published. In one of 27, both objectives start too high and approach
their values, each setting at a pace of its own, so that early ranks mislead as they do in training.

Each row is the share of the true front's hypervolume that the front of the completed trials has, after so many epochs
of all trials together: 1 is the whole, random search is there to compare with.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from searching.ours import _InMemory

from studies.pareto import front
from studies.run.end import continuation
from studies.run.trial import Course, run_trial
from studies.search.asha import Asha
from studies.search.pruners import make_pruner
from studies.search.samplers import make_sampler
from studies.search.seeded import seed_of
from studies.spec import StudySpec
from studies.spec.space import Space

N_PARAMETERS, MAX_EPOCHS = 4, 27
SPACE = {f"x{n}": {"low": 0.0, "high": 1.0} for n in range(N_PARAMETERS)}
REFERENCE = 1.1  # of both objectives
MANY = 10**6  # trials: the budget is of epochs
Values = tuple[float, float]


def zdt1(x: list[float]) -> Values:
    """Return both objectives; the front is convex, and has x1 to x3 at 0."""
    g = 1 + 9 * mean(x[1:])
    return x[0], g * (1 - math.sqrt(x[0] / g))


def dtlz2(x: list[float]) -> Values:
    """Return both objectives; the front is a quarter of a circle, and has x1 to x3 at 1/2."""
    g = 1 + sum((each - 0.5) ** 2 for each in x[1:])
    return g * math.cos(x[0] * math.pi / 2), g * math.sin(x[0] * math.pi / 2)


PROBLEMS: dict[str, tuple[Callable[[list[float]], Values], float]] = {
    # with the hypervolume of the whole front
    "zdt1": (zdt1, REFERENCE**2 - 1 / 3),
    "dtlz2": (dtlz2, REFERENCE**2 - math.pi / 4),
}
ONE_EPOCH: dict[str, Mapping[str, Any]] = {
    "gp": {"sampler": {"name": "gp"}},
    "tpe": {"sampler": {"name": "tpe"}},
    "nsga2": {"sampler": {"name": "nsga2"}},
    "random": {"sampler": {"name": "random"}},
}
EPOCHS: dict[str, Mapping[str, Any]] = {
    "gp + asha": {"sampler": {"name": "gp"}, "pruner": {"name": "asha"}},
    "tpe + asha": {"sampler": {"name": "tpe"}, "pruner": {"name": "asha"}},
    "nsga2 + asha": {"sampler": {"name": "nsga2"}, "pruner": {"name": "asha"}},
    "random + asha": {"sampler": {"name": "random"}, "pruner": {"name": "asha"}},
    "tpe": {"sampler": {"name": "tpe"}, "pruner": {"name": "none"}},
    "random": {"sampler": {"name": "random"}, "pruner": {"name": "none"}},
}


class Problem:
    """An objective that has both values of a problem, epoch by epoch. n_epochs: trained so far, of all trials."""

    metrics: Mapping[str, str] = {"first": "minimize", "second": "minimize"}
    datasets: Mapping[str, str] = {}
    space = SPACE

    def __init__(self, values: Callable[[list[float]], Values], max_epochs: int) -> None:
        self.values, self.max_epochs, self.n_epochs = values, max_epochs, 0

    def prepare(self, *given: Any) -> None:
        """Prepare nothing."""

    def start(self, params: Mapping[str, float], data: Any, *, seed: int, device: str) -> Training:
        """See Objective."""
        return Training(self, [params[name] for name in SPACE])


class Training:
    """One setting."""

    def __init__(self, problem: Problem, x: list[float]) -> None:
        self._problem, self._epoch, self._final = problem, 0, problem.values(x)
        self._pace = [1 + 4 * seed_of(0, f"{place} {x}") / 2**32 for place in range(2)]

    def epoch(self) -> dict[str, float]:
        """Return both values after one epoch more."""
        self._epoch += 1
        self._problem.n_epochs += 1
        left = [math.exp(-pace * self._epoch / 9) if self._problem.max_epochs > 1 else 0.0 for pace in self._pace]
        return {name: value + gap for name, value, gap in zip(Problem.metrics, self._final, left, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """See Training."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Training."""
        self._epoch = state["epoch"]


def fronts(problem: Problem, seed: int, part: Mapping[str, Any]) -> Iterator[list[Values]]:
    """Yield the values of the completed trials after each trial that ends, for ever."""
    spec = StudySpec.model_validate({
        "name": "benchmark", "objective": "benchmark", "metrics": dict(Problem.metrics), "n_trials": MANY,
        "max_epochs": problem.max_epochs, **part, "sampler": part["sampler"] | {"seed": seed},
    })  # fmt: skip
    space = Space.declared(SPACE)
    study = optuna.create_study(
        directions=[StudyDirection.MINIMIZE] * 2, sampler=make_sampler(spec, space), pruner=make_pruner(spec)
    )
    checkpoints: Any = _InMemory()
    course = Course(spec, space, problem, None, "cpu", lambda: None, checkpoints)  # type: ignore[arg-type]
    while True:
        paused = study.pruner.next(study, MANY) if isinstance(study.pruner, Asha) else None
        if paused is not None:
            given = continuation(paused, 0)
            study.enqueue_trial(given["params"], user_attrs=given["attributes"])
        trial = study.ask()
        outcome = run_trial(trial, course)
        if outcome is None or outcome.traceback is not None:
            raise RuntimeError(outcome and outcome.traceback)
        for key, attribute in outcome.attributes.items():
            trial.set_user_attr(key, attribute)
        study.tell(trial, outcome.values, outcome.state)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        yield [(one.values[0], one.values[1]) for one in complete]


def hypervolume(values: list[Values]) -> float:
    """Return the area that these dominate, up to the reference point."""
    area, last = 0.0, REFERENCE
    for place in front(values):
        first, second = values[place]
        if first < REFERENCE and second < last:
            area += (REFERENCE - first) * (last - second)
            last = second
    return area


def shares(name: str, max_epochs: int, seed: int, part: Mapping[str, Any], budgets: list[int]) -> list[float]:
    """Return the share of the true front's hypervolume after each budget of epochs."""
    function, whole = PROBLEMS[name]
    problem = Problem(function, max_epochs)
    found: list[float] = []
    before: list[Values] = []
    for values in fronts(problem, seed, part):
        while problem.n_epochs > budgets[len(found)]:
            found.append(hypervolume(before) / whole)
            if len(found) == len(budgets):
                return found
        before = values
    return found


def main() -> None:
    """Print a table for each kind of study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for max_epochs, whos, budgets in ((1, ONE_EPOCH, [50, 100]), (MAX_EPOCHS, EPOCHS, [270, 810])):
        for problem in PROBLEMS:
            print(f"\n{problem}, trials of {max_epochs} epochs, {given.seeds} seeds: after epochs", *budgets)
            for who, part in whos.items():
                runs = [shares(problem, max_epochs, seed, part, budgets) for seed in range(given.seeds)]
                columns = list(zip(*runs, strict=True))
                texts = [f"{mean(one):.3f} (sd {stdev(one) if len(one) > 1 else 0:.3f})" for one in columns]
                print(f"  {who:14}", *texts, flush=True)
                rows += [
                    {"problem": problem, "max_epochs": max_epochs, "who": who, "epochs": budget, "seeds": given.seeds,
                     "share": mean(one)}
                    for budget, one in zip(budgets, columns, strict=True)
                ]  # fmt: skip
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
