"""The winner of a study of programs, run once more: what the program keeps, prints and reports is its model.

checkpoints/   what it wrote into STUDIES_CHECKPOINTS
output.log     what it printed
"""

from __future__ import annotations

import shlex
from pathlib import Path

from studies.errors import ProgramNotTrained, TrainingInterrupted
from studies.files import write_whole
from studies.logs.log import older_of
from studies.logs.places import trial_log
from studies.model import CHECKPOINTS, LOG, new_directory, write_run
from studies.model.card import run_card
from studies.model.result import (
    Request,
    TrainingResult,
    View,
    content_of,
    line_of,
    metrics_of,
    refuse_nan,
    refuse_other_data,
    required_epochs,
)
from studies.run import provenance
from studies.run.objective import facts_of
from studies.run.placement import take
from studies.run.program import ProgramEnded, ProgramFailed, ProgramObjective, ProgramTraining
from studies.settings import Settings
from studies.spec import StudySpec
from studies.spec.model import Limits
from studies.spec.program import Program, filled
from studies.words import plural


def train_program(request: Request, settings: Settings, output: Path, view: View, *, overwrite: bool) -> TrainingResult:
    """Run the program with the winner's parameters and seed to its end, and keep what it leaves in `output`.

    Raises DirectoryTaken, ProgramNotTrained, TrainingFailed, TrainingInterrupted, and WrongInput for what a program
    cannot be asked for; then nothing is written.
    """
    spec = _spec(request)
    winner, device = request.winner, take(spec.resources.gpus_per_worker)
    with new_directory(output, overwrite=overwrite) as directory:
        objective = ProgramObjective(spec, directory, patient=True)
        number = winner.trial or 0
        result = TrainingResult(
            request=request,
            params=winner.params,
            data=facts_of(spec.dataset, None, settings),
            provenance=provenance.of_model(device),
            metrics=[*(winner.metrics or [winner.metric])],
            description=spec.description,
        )
        training = objective.start(winner.params, None, seed=result.seed, device=device, number=number)
        try:
            _run(training, result, spec.max_epochs, view)
            training.keep_checkpoints(directory / CHECKPOINTS)
        except KeyboardInterrupt:
            done = f"{len(result.history)} of {plural(spec.max_epochs, 'epoch')}"
            raise TrainingInterrupted(done=done) from None
        except ProgramFailed as error:
            raise ProgramNotTrained(reason=error) from None
        finally:
            training.close()
        _gather_log(directory, trial_log(directory, number))
        how = _how(result, (directory / CHECKPOINTS).is_dir())
        write_run(directory, content_of(result), metrics_of(result), run_card(result, how))
    return result


def _spec(request: Request) -> StudySpec:
    """Return the study of this one run, without a limit to its time. Raises WrongInput."""
    winner = request.winner
    refuse_other_data(request, "a program")
    spec = request.spec or winner.spec(winner.dataset.name)
    n_epochs = request.epochs or (winner.epochs if request.spec is None else spec.max_epochs)
    return spec.model_copy(update={"max_epochs": required_epochs(n_epochs), "limits": Limits()})


def _run(training: ProgramTraining, result: TrainingResult, n_epochs: int, view: View) -> None:
    winner = result.winner
    for epoch in range(1, n_epochs + 1):
        try:
            metrics = training.epoch()
        except ProgramEnded:
            break
        refuse_nan(metrics, winner.metric, epoch, n_epochs)
        result.history.append(metrics)
        is_best = not result.best or winner.direction.better(metrics[winner.metric], than=result.value or 0.0)
        if is_best:
            result.best = epoch
        view.say(line_of(epoch, n_epochs, metrics, winner.metric, is_best))


def _how(result: TrainingResult, has_checkpoints: bool) -> list[str]:
    """Return what the card says of the program."""
    program = result.winner.objective
    assert isinstance(program, Program)
    given = {"seed": result.seed, "max_epochs": len(result.history)}
    command = shlex.join(filled(program.words, result.params, given))
    kept = "`checkpoints` has what the program wrote" if has_checkpoints else "The program wrote no checkpoints"
    return [
        f"Command: `{command}`, seed {result.seed}; `params.yaml` has all parameters.",
        f"{kept}; `output.log` has what it printed, `metrics.json` what it reported.",
    ]


def _gather_log(directory: Path, log: Path) -> None:
    """Make one file of what it printed, which may be in two."""
    parts = [path.read_bytes() for path in (older_of(log), log) if path.exists()]
    write_whole(directory / LOG, b"".join(parts))
    for path in (older_of(log), log):
        path.unlink(missing_ok=True)
