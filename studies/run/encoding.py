"""The state of a training as bytes.

They are safetensors: the tensors as they are, and everything else (numbers, texts, lists, mappings) as JSON in the
header. Nothing is pickled, so what comes from a stranger can be read without running their code. A digest of the whole
is in the header too: what a full disk, a dying machine or a bad cable left of it is never taken for it. torch is used
only where the objective has loaded it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

_NO_DIGEST = "0" * 64  # in the digest's place while the digest is taken
_DIGEST_KEY = b'"sha256":"'  # in the header; inside a JSON text it would have backslashes


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
