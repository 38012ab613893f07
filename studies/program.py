"""What a program uses that is an objective, run once a trial by `studies launch`.

    from studies import program

    rate = program.params.get("learning_rate", 1e-3)
    for epoch in range(1, 11):
        ...
        torch.save(state, program.checkpoints / "last.pt")
        program.report(epoch, val_accuracy=accuracy, train_loss=loss)

params        the trial's parameters by name; empty outside a study
seed          what everything random should draw from; 0 outside a study
checkpoints   a directory whose files are there again where the trial goes on; outside a study an empty temporary one
report        tells the study the metrics of an epoch, and returns when the study has judged it and kept the checkpoints

Outside a study every call is harmless. This file needs nothing but Python: a copy of it in a project works as well.
docs/guides/programs.md has the protocol, which any language can speak.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# The names of the environment's variables, and of a report's keys.
PARAMS, SEED, CHECKPOINTS = "STUDIES_PARAMS", "STUDIES_SEED", "STUDIES_CHECKPOINTS"
REPORTS, ANSWERS = "STUDIES_REPORTS", "STUDIES_ANSWERS"
EPOCH, WAIT = "epoch", "wait"
RANK = "RANK"  # of several processes that train together, as torchrun starts them, the first one reports


def _given() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(Path(os.environ[PARAMS]).read_text(encoding="utf-8"))
    except (KeyError, OSError):  # outside a study, or a study that is over
        return {}
    return found


params = _given()
seed: int = int(os.environ.get(SEED) or 0)


def report(epoch: float | None, **metrics: float) -> None:
    """Tell the study the metrics of an epoch; files in `checkpoints` should be written before.

    epoch: its number; None is the one after the last that had the study's metric. metrics: numbers, or what has an
    `item()`, such as a tensor of one element. A trial that is worse than the others does not return from here: its
    process is ended.
    """
    if not os.environ.get(REPORTS) or os.environ.get(RANK, "0") != "0":
        return
    given = metrics if epoch is None else {EPOCH: epoch, **metrics}
    numbers = {name: float(value) for name, value in given.items()}
    line = json.dumps({**numbers, WAIT: True}) + "\n"
    answers = None
    try:
        if os.environ.get(ANSWERS):
            answers = os.open(os.environ[ANSWERS], os.O_RDONLY | os.O_NONBLOCK)
        reports = os.open(os.environ[REPORTS], os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.set_blocking(reports, True)
            os.write(reports, line.encode())
        finally:
            os.close(reports)
        if answers is not None:
            os.set_blocking(answers, True)
            os.read(answers, 1)  # nothing comes where the worker dies, and this ends, too
    except OSError:
        pass  # the study is gone, and this program outlived it
    finally:
        if answers is not None:
            os.close(answers)


def __getattr__(name: str) -> Any:
    if name != "checkpoints":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    given = os.environ.get(CHECKPOINTS)
    globals()[name] = found = Path(given) if given else _temporary()
    return found


def _temporary() -> Path:
    import atexit
    import shutil
    import tempfile

    path = tempfile.mkdtemp(prefix="checkpoints-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)
