"""Ready-made callbacks that report a program's epochs, for Lightning, transformers' Trainer, Keras and W&B.

    from studies import program_callbacks

    lightning.Trainer(callbacks=[program_callbacks.lightning()])
    transformers.Trainer(..., callbacks=[program_callbacks.transformers()])
    model.fit(..., callbacks=[program_callbacks.keras()])
    program_callbacks.wandb()  # before wandb.init()

A library is imported when its callback is made. As all of `studies.program`, they do nothing outside a study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from studies import program

LIGHTNING_CHECKPOINT = "last.ckpt"


def lightning() -> Any:
    """Return a callback for `lightning.Trainer`, or that of `pytorch_lightning`.

    After each epoch with a validation it saves a checkpoint, which `lightning_checkpoint` finds, and reports what the
    module has logged, by its names.
    """
    try:
        from lightning.pytorch import Callback
    except ModuleNotFoundError:  # each takes the other's callbacks
        from pytorch_lightning import Callback

    class Reports(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self._validated = False

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self._validated = not trainer.sanity_checking

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if self._validated or not trainer.num_val_batches or not any(trainer.num_val_batches):
                self._validated = False
                trainer.save_checkpoint(program.checkpoints / LIGHTNING_CHECKPOINT)  # by all ranks together
                program.report(trainer.current_epoch + 1, **_numbers(trainer.callback_metrics))

    return Reports()


def lightning_checkpoint() -> str | None:
    """Return the path for `trainer.fit(..., ckpt_path=...)` where the trial goes on; None where it begins."""
    path = program.checkpoints / LIGHTNING_CHECKPOINT
    return str(path) if path.exists() else None


def transformers() -> Any:
    """Return a callback for `transformers.Trainer`, which reports each evaluation: `eval_loss` and so on.

    Where a checkpoint is saved together with an evaluation, it reports after it: with `output_dir=program.checkpoints`
    and `save_strategy` as `eval_strategy`, the trial goes on from there.
    """
    from transformers import TrainerCallback

    class Reports(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self._held: dict[str, float] | None = None

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None = None, **more: Any
        ) -> None:
            self._held = _numbers(metrics or {}) | {"epoch": float(state.epoch or 0.0)}
            if not control.should_save:
                self._report()

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._report()

        def _report(self) -> None:
            held, self._held = self._held, None
            if held is not None:
                program.report(**held)

    return Reports()


def keras() -> Any:
    """Return a callback for `fit` of Keras, which reports each epoch's logs: `val_loss` and so on.

    Put it after `keras.callbacks.BackupAndRestore(program.checkpoints / "backup")`, and the trial goes on from there.
    """
    from keras.callbacks import Callback

    class Reports(Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            program.report(epoch + 1, **_numbers(logs or {}))

    return Reports()


def wandb() -> None:
    """Report what a script logs to W&B, and put the trial's parameters into the config of its run.

    What is logged with an `epoch` is of that epoch, anything else of the next: a metric that is logged once an epoch
    counts, whatever is logged for each batch besides. To be called before `wandb.init()`.
    """
    import wandb as library

    begin = library.init

    def init(*given: Any, **named: Any) -> Any:
        run = begin(*given, **named)
        run.config.update(_placed(program.params, run.config), allow_val_change=True)
        log = run.log

        def log_and_report(data: Mapping[str, Any], *more: Any, **others: Any) -> None:
            log(data, *more, **others)
            numbers = _numbers(data)
            program.report(numbers.pop("epoch", None), **numbers)

        run.log = library.log = log_and_report
        return run

    library.init = init


def _placed(params: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as a config has them: `optimizer.lr` in the group `optimizer`, where nothing has that name."""
    placed: dict[str, Any] = {}
    for name, value in params.items():
        *groups, last = [name] if name in config else name.split(".")
        place = placed
        for group in groups:
            place = place.setdefault(group, {**config.get(group, {})} if place is placed else {})
        place[last] = value
    return placed


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are numbers; tensors of one element among them."""
    found = {}
    for name, value in metrics.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError, RuntimeError):
            continue
    return {name: value for name, value in found.items() if name != "epoch" or not math.isnan(value)}
