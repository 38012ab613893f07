"""Training the winner: the parameters of one trial again, its test rows scored once, and the model saved."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies.errors import ObjectiveRefused, SpaceRefused, TrainingInterrupted
from studies.model import new_directory, write_model
from studies.model.card import model_card
from studies.model.function import train_function
from studies.model.program import train_program
from studies.model.result import (
    Request,
    TrainingResult,
    View,
    content_of,
    line_of,
    metrics_of,
    refuse_nan,
    required_epochs,
)
from studies.model.winner import Winner
from studies.run import provenance
from studies.run.objective import FunctionObjective, LoadedObjective, Training, facts_of, load_objective
from studies.settings import Settings
from studies.spec.program import Program
from studies.spec.space import Space
from studies.spec.values import SpaceError
from studies.words import IMPORTING, plural


def train(
    request: Request, settings: Settings, output: Path, device: str, view: View, *, overwrite: bool = False
) -> TrainingResult:
    """Train, score the test rows once, and write the model to the directory `output`.

    A program or a plain function is run once more instead, see `train_program` and `train_function`. Raises
    DirectoryTaken, ObjectiveRefused, SpaceRefused, TrainingFailed, TrainingInterrupted, and whatever the objective
    does; then nothing is written.
    """
    winner, output = request.winner, output.absolute()  # an objective may change the working directory
    if isinstance(winner.objective, Program):
        return train_program(request, settings, output, view, overwrite=overwrite)
    if winner.provenance.threads and device == "cpu":  # sums depend on them; read when the objective loads torch
        os.environ.setdefault("OMP_NUM_THREADS", str(winner.provenance.threads))
    view.preparing(IMPORTING, 0.0)
    objective = load_objective(winner.spec(request.dataset or winner.dataset.name))
    if isinstance(objective, FunctionObjective):
        return train_function(request, objective, settings, output, device, view, overwrite=overwrite)
    params = _exactly(winner, objective)
    n_epochs = required_epochs(request.epochs or winner.epochs)
    with new_directory(output, overwrite=overwrite) as directory:
        done: list[dict[str, float]] = []
        try:
            data = _prepared(request, objective, settings, view)
            result = TrainingResult(
                request=request,
                params=params,
                data=facts_of(request.dataset or winner.dataset.name, data, settings),
                provenance=provenance.of_model(device),
                metrics=list(objective.metrics),
                description=_first_sentence(objective),
                history=done,
            )
            if result.same_data is False:
                view.say(
                    f"The data set {result.data['name']} is not what the study trained on: its sha256 was "
                    f"{str(winner.dataset.sha256)[:12]}... and is {str(result.data['sha256'])[:12]}..."
                )
            data = data.with_validation() if request.with_validation else data
            fitted = _fitted(objective, params, data)  # what is wrong with it is told before hours of training
            training = objective.start(params, data, seed=result.seed, device=device)
            _run_epochs(training, result, n_epochs, view)
            if hasattr(training, "test"):
                result.test = _floats(training.test())
            _save(directory, result, training, objective, fitted, view)
        except KeyboardInterrupt:
            raise TrainingInterrupted(done=f"{len(done)} of {plural(n_epochs, 'epoch')}") from None
    return result


def _exactly(winner: Winner, objective: LoadedObjective) -> dict[str, Any]:
    try:
        return dict(Space.declared(objective.space).exactly(winner.params))
    except SpaceError as error:
        raise SpaceRefused(reason=str(error), path=("params", *error.path)) from None


def _prepared(request: Request, objective: LoadedObjective, settings: Settings, view: View) -> Any:
    name = request.dataset or request.winner.dataset.name
    try:
        data = objective.prepare(name, settings.data, settings.directory("prepared"), view.preparing)
    except ValueError as error:  # the objectives' DataError among them
        raise ObjectiveRefused(reason=str(error)) from None
    if request.with_validation and not hasattr(data, "with_validation"):
        raise ObjectiveRefused(
            reason=f"{request.winner.objective!r} cannot train on validation rows: what its prepare() returns has no "
            "with_validation(); leave --with-validation out"
        )
    return data


def _run_epochs(training: Training, result: TrainingResult, n_epochs: int, view: View) -> None:
    """Train; leave the training at its best validation epoch, or at the last where validation rows were trained on."""
    winner, validates = result.winner, not result.request.with_validation
    kept: dict[str, Any] | None = None
    for epoch in range(1, n_epochs + 1):
        metrics = _floats(training.epoch())
        refuse_nan(metrics, winner.metric, epoch, n_epochs)
        result.history.append(metrics)
        best = result.value if result.best else None  # None, too, where validation rows are trained on
        is_best = best is None or winner.direction.better(metrics[winner.metric], than=best)
        if is_best:
            result.best = epoch
            # What comes back is a view of the tensors that the next epoch changes.
            kept = copy.deepcopy(training.state_dict()) if validates and epoch < n_epochs else None
        view.say(line_of(epoch, n_epochs, metrics, winner.metric if validates else None, is_best))
    if kept is not None:
        training.load_state_dict(kept)


def _fitted(objective: Any, params: Mapping[str, Any], data: Any) -> dict[str, Any]:
    fitted: dict[str, Any] = objective.fitted(params, data) if hasattr(objective, "fitted") else {}
    try:
        json.dumps(fitted, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ObjectiveRefused(reason=f"the objective's fitted() is not plain JSON data ({error})") from None
    return fitted


def _save(
    directory: Path, result: TrainingResult, training: Any, objective: Any, fitted: Mapping[str, Any], view: View
) -> None:
    weights = training.weights() if hasattr(training, "weights") else None
    if weights is not None and hasattr(objective, "predictor"):
        try:
            predictor = objective.predictor(result.params, fitted, weights, device="cpu")
            result.answers = " ".join((predictor.predict.__doc__ or "").split())
        except Exception as error:  # no reason to lose what was trained
            view.say(f"The model is saved, but its predictor fails: {type(error).__name__}: {error}")
    write_model(
        directory,
        content_of(result),
        weights=weights,
        state=training.state_dict(),
        fitted=fitted,
        metrics=metrics_of(result),
        card=model_card(result),
    )


def _floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _first_sentence(objective: LoadedObjective) -> str:
    text = sys.modules[type(objective).__module__].__doc__ or type(objective).__doc__ or ""
    return " ".join(text.strip().partition("\n\n")[0].split())
