"""Checkpoints: what a trial needs to go on elsewhere, bit for bit (`encoding`), or not at all."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from studies.artifacts import Store
from studies.run.encoding import decoded, encoded

MAX_SHARE = 0.1  # of a trial's time goes into writing checkpoints
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A training's state after some epochs, their metrics, and the evidence of the best of them."""

    state: dict[str, Any]
    history: list[dict[str, float]]
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass
class Checkpoints:
    """The checkpoints of one study's trials, by trial number.

    say: told when one cannot be written, read or removed; a trial goes on without it.
    """

    store: Store
    say: Callable[[str], None]
    _pause_until: float = field(default=0.0, repr=False)

    def is_due(self) -> bool:
        """Whether so much time has passed since the last one that writing another takes no more than MAX_SHARE."""
        return time.monotonic() >= self._pause_until

    def save(self, number: int, checkpoint: Checkpoint) -> str | None:
        """Write the checkpoint of a trial; return why it could not be written, or None."""
        why = None
        started = time.monotonic()
        try:
            self.store.write(_name(number), io.BytesIO(encoded(vars(checkpoint))))
        except OSError as error:
            self.say(f"trial {number} goes on without a checkpoint: {error}")
            why = error.strerror or str(error)
        ended = time.monotonic()
        self._pause_until = ended + (ended - started) * (1 - MAX_SHARE) / MAX_SHARE
        return why

    def load(self, number: int) -> Checkpoint | None:
        """Return the last checkpoint of a trial, or None when there is none that is whole."""
        from optuna.artifacts.exceptions import ArtifactNotFound  # with boto3: only where a trial goes on

        try:
            with self.store.open_reader(_name(number)) as file:
                return Checkpoint(**decoded(file.read()))
        except ArtifactNotFound:
            return None
        except Exception as error:  # whatever is wrong with it, the trial can start over
            self.say(f"the checkpoint of trial {number} cannot be used: {error}")
            return None

    def latest(self, numbers: Iterable[int]) -> Checkpoint | None:
        """Return the checkpoint of the first of these trials that has one which is whole."""
        return next(filter(None, map(self.load, numbers)), None)

    def numbers(self) -> set[int]:
        """Return the numbers of the trials that have a checkpoint, a half-written one included."""
        try:
            names = self.store.sizes()
        except OSError as error:
            self.say(f"the checkpoints cannot be listed: {error}")
            return set()
        stems = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
        return {int(stem) for stem in stems if stem.isdecimal()}

    def delete(self, number: int) -> None:
        """Remove the checkpoint of a trial, if there is one."""
        try:
            self.store.remove(_name(number))
        except OSError as error:
            self.say(f"the checkpoint of trial {number} cannot be removed: {error}")


def _name(number: int) -> str:
    return f"{number}{SUFFIX}"
