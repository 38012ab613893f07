"""Which rows of prepared data are trained on, and which are scored, in the shapes that data usually come in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies.check.tensors import is_tensor

TRAIN = {"train", "training"}
SCORED = {"validation", "valid", "val", "dev"}
GROUPS = {
    "session", "profile", "document", "doc", "patient", "subject", "participant", "speaker", "song", "recording",
    "group",
}  # fmt: skip
MOST_ROWS = 300_000
DEEPEST = 3


@dataclass
class Side:
    """The rows of one role. hashes: uint64 (n,), None if unclear. groups: by name, the group of each row (n,)."""

    hashes: NDArray[np.uint64] | None = None
    groups: dict[str, NDArray[Any]] = field(default_factory=dict)


def sides(data: Any, depth: int = 0) -> tuple[Side | None, Side | None]:
    """Return the rows to train on and the rows to score; None where the data do not show them.

    Understood: attributes, keys or fields named for a role, each with arrays, tensors, data frames or torch data sets;
    the same in a pair, or one level deeper; indices into other arrays; a method `rows(role)` that gives indices.
    """
    named = _named(data)
    train, scored = _of_role(named, TRAIN), _of_role(named, SCORED) or _of_role(named, {"test"})
    if not train and isinstance(data, (tuple, list)) and len(data) in (2, 3) and all(map(_is_part, data)):
        train, scored = {"": data[0]}, {"": data[1]}
    if not train and callable(getattr(data, "rows", None)):
        try:
            train, scored = {"": data.rows("train")}, {"": data.rows("validation")}
        except Exception:
            return None, None
    if not train or not scored:
        deeper = (sides(value, depth + 1) for value in named.values()) if depth < DEEPEST else ()
        return next((found for found in deeper if found[0] is not None), (None, None))
    rest = {name: value for name, value in named.items() if not _role(name)}
    return _side(train, rest), _side(scored, rest)


def _side(parts: Mapping[str, Any], rest: Mapping[str, Any]) -> Side:
    columns: dict[str, NDArray[Any]] = {}
    for name, part in parts.items():
        columns |= _columns(part, name)
    if len(columns) == 1 and (indices := _indices(next(iter(columns.values())), rest)) is not None:
        columns = {name: value[indices] for name, value in _table(rest).items()}
    if not columns:
        return Side()
    offsets = columns.pop("offsets", None)
    if offsets is not None:
        return Side(_ragged(columns, offsets))
    n_rows = max(map(len, columns.values()))
    columns = {name: value for name, value in columns.items() if len(value) == n_rows}
    groups = {name: value for name, value in columns.items() if _is_group(name) and value.ndim == 1}
    inputs = [value for name, value in columns.items() if name not in groups and not _is_label_or_key(name, value)]
    return Side(_hashes(inputs) if inputs else None, groups)


def _named(data: Any) -> dict[str, Any]:
    if isinstance(data, Mapping):
        return {str(name): value for name, value in data.items()}
    if isinstance(data, (str, bytes, int, float, np.ndarray)) or is_tensor(data):
        return {}
    if is_dataclass(data) and not isinstance(data, type):
        return {each.name: getattr(data, each.name) for each in fields(data)}
    if hasattr(data, "_asdict"):
        return dict(data._asdict())
    return dict(getattr(data, "__dict__", {}))


def _role(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower())) & (TRAIN | SCORED | {"test"})


def _of_role(named: Mapping[str, Any], words: set[str]) -> dict[str, Any]:
    """Return the parts of one role, by the rest of their names: X_train is `x`."""
    parts = {}
    for name, value in named.items():
        if _role(name) & words:
            rest = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in words]
            parts["_".join(rest)] = value
    return parts


def _is_part(value: Any) -> bool:
    return not isinstance(value, np.ndarray) and not is_tensor(value) and bool(_columns(value))


def _columns(part: Any, name: str = "", depth: int = 0) -> dict[str, NDArray[Any]]:
    """Return the arrays in a part of the data, by name; {} for what is not understood."""
    if is_tensor(part):
        part = part.detach().cpu().numpy()
    if isinstance(part, np.ndarray):
        return {name: part} if part.ndim else {}
    if depth >= DEEPEST or part is None or isinstance(part, (str, bytes, int, float)):
        return {}
    if hasattr(part, "to_numpy") and hasattr(part, "columns"):
        return {str(column): part[column].to_numpy() for column in part.columns}
    if hasattr(part, "indices") and hasattr(part, "dataset"):  # torch.utils.data.Subset
        chosen = np.asarray(part.indices)
        return {key: value[chosen] for key, value in _columns(part.dataset, name, depth + 1).items()}
    inner = dict(enumerate(part.tensors)) if hasattr(part, "tensors") else _named(part)
    if isinstance(part, (tuple, list)):
        inner = dict(enumerate(part)) if len(part) <= 4 else {}
        if not inner and part and all(isinstance(each, (int, np.integer)) for each in part):
            return {name: np.asarray(part)}
    found: dict[str, NDArray[Any]] = {}
    for key, value in inner.items():
        found |= _columns(value, f"{name}_{key}" if name and isinstance(key, int) else str(key), depth + 1)
    return found


def _table(rest: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the longest arrays of the same length: the rows that indices point into."""
    columns: dict[str, NDArray[Any]] = {}
    for name, value in rest.items():
        columns |= _columns(value, name)
    longest = max(map(len, columns.values()), default=0)
    return {name: value for name, value in columns.items() if len(value) == longest}


def _indices(column: NDArray[Any], rest: Mapping[str, Any]) -> NDArray[Any] | None:
    """Return it when it says which rows of the other arrays belong to a role, by number or by yes and no."""
    n_rows = max(map(len, _table(rest).values()), default=0)
    if column.ndim != 1 or not n_rows:
        return None
    if column.dtype == bool and len(column) == n_rows:
        return np.flatnonzero(column)
    inside = column.dtype.kind in "iu" and len(column) and column.min() >= 0 and column.max() < n_rows
    return column if inside and len(np.unique(column)) == len(column) else None


def _is_group(name: str) -> bool:
    words = re.split(r"[^a-z]+", name.lower())
    return any(word in GROUPS or word.removesuffix("s") in GROUPS for word in words)


def _is_label_or_key(name: str, values: NDArray[Any]) -> bool:
    """Whether a column of numbers is a label or counts the rows: neither makes a row another one."""
    if values.ndim > 1 or values.dtype.kind not in "iub":
        return False
    return name.lower() in {"id", "index", "row", "y", "label", "labels", "target", "targets", "1"}


def _hashes(inputs: list[NDArray[Any]]) -> NDArray[np.uint64]:
    tables = [np.ascontiguousarray(values[:MOST_ROWS]).reshape(len(values[:MOST_ROWS]), -1) for values in inputs]
    return np.array([_hash(*(table[row].tobytes() if table.dtype != object else repr(table[row].tolist()).encode()
                             for table in tables)) for row in range(len(tables[0]))], dtype=np.uint64)  # fmt: skip


def _ragged(columns: Mapping[str, NDArray[Any]], offsets: NDArray[Any]) -> NDArray[np.uint64] | None:
    """Return the hash of each row of arrays that `offsets` cuts into rows."""
    cut = [values for values in columns.values() if len(values) == offsets[-1]]
    if not cut:
        return None
    pairs = zip(offsets[:MOST_ROWS].tolist(), offsets[1 : MOST_ROWS + 1].tolist(), strict=False)
    return np.array([_hash(*(values[a:b].tobytes() for values in cut)) for a, b in pairs], dtype=np.uint64)


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=8).digest(), "little")
