"""Checkpoints: what a trial needs to go on elsewhere, bit for bit, in a file that is whole whenever it is there.

A file is safetensors: the tensors as they are, and everything else (numbers, texts, lists, mappings) as JSON in its
header. Nothing is pickled, so a checkpoint from a stranger can be read without running their code. torch is used only
where the objective has loaded it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """The checkpoints of one study's trials, in one directory, by trial number.

    say: told when one cannot be written or read; a trial goes on without it.
    """

    directory: Path
    say: Callable[[str], None]
    _pause_until: float = field(default=0.0, repr=False)

    def save(self, number: int, checkpoint: Checkpoint, *, must: bool = False) -> None:
        """Write the checkpoint of a trial; skipped, unless it must be, where writing would take over MAX_SHARE."""
        started = time.monotonic()
        if not must and started < self._pause_until:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write(self._path(number), vars(checkpoint))
        except OSError as error:
            self.say(f"trial {number} goes on without a checkpoint: {error}")
        ended = time.monotonic()
        self._pause_until = ended + (ended - started) * (1 - MAX_SHARE) / MAX_SHARE

    def load(self, number: int) -> Checkpoint | None:
        """Return the last checkpoint of a trial, or None when there is none that is whole."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            content = read(path)
            return Checkpoint(**content)
        except Exception as error:  # whatever is wrong with it, the trial can start over
            self.say(f"the checkpoint {path} cannot be used, so its trial starts over: {error}")
            return None

    def delete(self, number: int) -> None:
        """Remove the checkpoint of a trial, if there is one."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number}{SUFFIX}"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write nested mappings, lists, scalars and tensors to a file; either the old file or the whole new one is there.

    Raises OSError, and TypeError for a value of another kind.
    """
    tensors: dict[str, Any] = {}
    tree = _without_tensors(content, tensors)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(serialised(tensors, {"tree": json.dumps(tree)}))
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """Return what `write` was given; raises for a file that is not whole."""
    from safetensors import safe_open

    with safe_open(path, framework="pt" if "torch" in sys.modules else "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        content: dict[str, Any] = _with_tensors(json.loads(file.metadata()["tree"]), tensors)
    return content


def used_bytes(directory: Path) -> int:
    """Return how much disk the checkpoints below a directory take."""
    return sum(path.stat().st_size for path in directory.rglob(f"*{SUFFIX}"))


def serialised(tensors: dict[str, Any], metadata: dict[str, str]) -> bytes:
    """Return named tensors, from any device, as the bytes of a safetensors file."""
    if "torch" in sys.modules:
        import safetensors.torch

        # Tied weights share memory, which the format refuses: each is stored by itself.
        return safetensors.torch.save({name: t.cpu().clone().contiguous() for name, t in tensors.items()}, metadata)
    import safetensors.numpy

    return safetensors.numpy.save(tensors, metadata)


def _without_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    """Return value as JSON data; every tensor goes into `tensors` and leaves its name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        # Pairs, for JSON would make texts of the numbers that optimizers use as keys.
        return {"dict": [[_without_tensors(k, tensors), _without_tensors(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_without_tensors(item, tensors) for item in value]}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    raise TypeError(f"a state holds tensors, numbers, texts, lists and dicts, not a {type(value).__name__}")


def _with_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_with_tensors(k, tensors): _with_tensors(v, tensors) for k, v in content}
    items = [_with_tensors(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
