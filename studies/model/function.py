"""The winner of a study of a plain function, called once more: the files that it keeps are its model.

checkpoints/   what it wrote into `studies.checkpoints(trial)`
"""

from __future__ import annotations

import inspect
import math
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from studies.errors import ObjectiveRefused, SpaceRefused, TrainingInterrupted, WrongInput
from studies.model import CHECKPOINTS, new_directory, write_run
from studies.model.card import run_card
from studies.model.result import (
    Request,
    TrainingResult,
    View,
    content_of,
    metrics_of,
    refuse_nan,
    refuse_other_data,
)
from studies.names import SEED
from studies.run import provenance
from studies.run.kept_files import directory_of
from studies.run.objective import FunctionObjective, facts_of, values_of
from studies.settings import Settings
from studies.words import number, plural


def train_function(
    request: Request,
    objective: FunctionObjective,
    settings: Settings,
    output: Path,
    device: str,
    view: View,
    *,
    overwrite: bool,
) -> TrainingResult:
    """Call the function with the winner's parameters and seed, and move the files that it keeps to `output`.

    Raises DirectoryTaken, ObjectiveRefused, SpaceRefused, TrainingFailed, TrainingInterrupted, WrongInput for what a
    function cannot be asked for, and whatever the function does; then nothing is written.
    """
    refuse_other_data(request, "a plain function")
    if request.epochs is not None:
        raise WrongInput(reason="--epochs is not for a plain function, which trains as long as it likes; leave it out.")
    winner = request.winner.model_copy(update={"epochs": 1})  # its value is that of the whole call
    with new_directory(output, overwrite=overwrite) as directory:
        result = TrainingResult(
            request=replace(request, winner=winner),
            params=winner.params,
            data=facts_of(winner.dataset.name, None, settings),
            provenance=provenance.of_model(device),
            metrics=[*(winner.metrics or [winner.metric])],
            description=_first_sentence(objective),
            best=1,
        )
        trial = _Again(winner.params, winner.trial or 0, result.seed, view)
        result.history.append(_values(trial, result, objective))
        refuse_nan(result.history[0], winner.metric, 1, 1)
        kept = directory_of(trial)
        has_files = kept is not None and any(kept.iterdir())
        if kept is not None and has_files:
            shutil.move(kept, directory / CHECKPOINTS)
        reports = {step: value if math.isfinite(value) else None for step, value in trial.reported.items()}
        metrics = metrics_of(result) | {"epochs": [], "reports": reports}
        write_run(directory, content_of(result) | {"epochs": None}, metrics, run_card(result, _how(result, has_files)))
    return result


class _Again(FixedTrial):
    """A trial with the winner's parameters and seed, which is never pruned."""

    def __init__(self, params: Mapping[str, Any], number: int, seed: int, view: View) -> None:
        super().__init__(dict(params), number)
        self.reported: dict[int, float] = {}
        self._view = view
        self._user_attrs[SEED] = seed

    def report(self, value: float, step: int) -> None:
        """See BaseTrial."""
        self.reported.setdefault(int(step), float(value))
        self._view.say(f"step {step} · reported {number(float(value))}")

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params:
            has = ", ".join(self._params) or "none"
            reason = f"the function asks for {name!r}, and the trial had {has}; its code has changed since"
            raise SpaceRefused(reason=reason, path=("params",))
        return super()._suggest(name, distribution)


def _values(trial: _Again, result: TrainingResult, objective: FunctionObjective) -> dict[str, float]:
    winner = result.winner
    spec = result.request.spec or winner.spec(winner.dataset.name)
    try:
        return dict(zip(spec.metrics, values_of(objective.function(trial), spec), strict=True))
    except KeyboardInterrupt:
        raise TrainingInterrupted(done=plural(len(trial.reported), "report")) from None
    except optuna.TrialPruned:
        reason = f"{winner.objective!r} raised TrialPruned where trial.should_prune() was False, and returned nothing"
        raise ObjectiveRefused(reason=reason) from None


def _how(result: TrainingResult, has_files: bool) -> list[str]:
    """Return what the card says of the function."""
    kept = "`checkpoints` has the files that it kept" if has_files else "It kept no files"
    return [
        f"Function: `{result.winner.objective}`, seed {result.seed}; `params.yaml` has all parameters.",
        f"{kept}; `metrics.json` has what it returned and reported.",
    ]


def _first_sentence(objective: FunctionObjective) -> str:
    function = objective.function
    module = sys.modules.get(getattr(function, "__module__", ""))
    text = inspect.getdoc(function) or getattr(module, "__doc__", None) or ""
    return " ".join(text.strip().partition("\n\n")[0].split())
