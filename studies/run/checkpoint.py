"""Checkpoints: what a trial needs to go on elsewhere, bit for bit, or not at all.

A checkpoint is safetensors: the tensors as they are, and everything else (numbers, texts, lists, mappings) as JSON in
its header. Nothing is pickled, so one from a stranger can be read without running their code. A digest of the whole is
in the header too: what a full disk, a dying machine or a bad cable left of one is never taken for it. torch is used
only where the objective has loaded it.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from studies.artifacts import Store

MAX_SHARE = 0.1  # of a trial's time goes into writing checkpoints
SUFFIX = ".safetensors"

_NO_DIGEST = "0" * 64  # in the digest's place while the digest is taken
_DIGEST_KEY = b'"sha256":"'  # in the header; inside a JSON text it would have backslashes


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


def encoded(content: dict[str, Any]) -> bytes:
    """Return nested mappings, lists, scalars and tensors as safetensors; TypeError for a value of another kind."""
    tensors: dict[str, Any] = {}
    tree = _without_tensors(content, tensors)
    data = bytearray(serialised(tensors, {"tree": json.dumps(tree), "sha256": _NO_DIGEST}))
    place = _digest_place(data)
    data[place] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def decoded(data: bytes) -> dict[str, Any]:
    """Return what `encoded` was given; ValueError for anything but the whole of it."""
    try:
        place = _digest_place(data)
        parts = (memoryview(data)[: place.start], _NO_DIGEST.encode(), memoryview(data)[place.stop :])
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        whole = digest.hexdigest().encode() == data[place]
        header = json.loads(data[8 : _header_end(data)]) if whole else {}
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("it is not whole")
    content: dict[str, Any] = _with_tensors(json.loads(header["__metadata__"]["tree"]), _deserialised(data))
    return content


def _name(number: int) -> str:
    return f"{number}{SUFFIX}"


def _header_end(data: bytes | bytearray) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _digest_place(data: bytes | bytearray) -> slice:
    """Return where the digest is; ValueError when there is none."""
    start = data.index(_DIGEST_KEY, 8, _header_end(data)) + len(_DIGEST_KEY)
    return slice(start, start + len(_NO_DIGEST))


def serialised(tensors: dict[str, Any], metadata: dict[str, str]) -> bytes:
    """Return named tensors, from any device, as the bytes of a safetensors file."""
    if "torch" in sys.modules:
        import safetensors.torch

        # Tied weights share memory, which the format refuses: each is stored by itself.
        return safetensors.torch.save({name: t.cpu().clone().contiguous() for name, t in tensors.items()}, metadata)
    import safetensors.numpy

    return safetensors.numpy.save(tensors, metadata)


def _deserialised(data: bytes) -> dict[str, Any]:
    if "torch" in sys.modules:
        import safetensors.torch

        return safetensors.torch.load(data)
    import safetensors.numpy

    return safetensors.numpy.load(data)


def _without_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    """Return value as JSON data; every tensor goes into `tensors` and leaves its name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        # Pairs, for JSON would make texts of the numbers that optimizers use as keys.
        return {"dict": [[_without_tensors(k, tensors), _without_tensors(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_without_tensors(item, tensors) for item in value]}
    if isinstance(value, bytes):
        name = str(len(tensors))
        tensors[name] = _buffer(value)
        return {"bytes": name}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        name = str(len(tensors))
        order = _order(value)
        tensors[name] = value.permute(order) if order else value
        return {"permuted": [name, order]} if order else {"tensor": name}
    raise TypeError(f"a state holds tensors, numbers, texts, bytes, lists and dicts, not a {type(value).__name__}")


def _buffer(content: bytes) -> Any:
    if "torch" in sys.modules:
        import torch

        return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
    import numpy as np

    return np.frombuffer(content, dtype=np.uint8)


def _order(tensor: Any) -> list[int] | None:
    """Return the dimensions of a tensor as they lie in memory, the outermost first; None where that is their order.

    It is part of a state: fused optimizers take a parameter and its moments to lie alike, as with channels_last.
    """
    if not hasattr(tensor, "permute") or tensor.is_contiguous():
        return None
    return sorted(range(tensor.dim()), key=lambda dimension: -tensor.stride(dimension))


def _with_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "bytes":
        return (tensors[content].numpy() if "torch" in sys.modules else tensors[content]).tobytes()
    if kind == "permuted":
        name, order = content
        inverse = [order.index(dimension) for dimension in range(len(order))]
        return tensors[name].permute(inverse) if "torch" in sys.modules else tensors[name].transpose(inverse)
    if kind == "dict":
        return {_with_tensors(k, tensors): _with_tensors(v, tensors) for k, v in content}
    items = [_with_tensors(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
