"""A trained model's directory: written whole or not at all, and checked when it is opened.

`winner` is what to train; `train`, `program` or `function` trains it into a `result`, `card` describes it, `predict`
asks it.

model.safetensors   the weights, or the whole state of a training that does not tell its weights apart
fitted.json         what else was fitted on train rows: a vocabulary, class names, a scale
params.yaml         what was trained, as `studies export` writes it, and the hashes of the two above
metrics.json        the metrics of every epoch, and of the test rows
README.md           the model card

Of a program, `checkpoints`, a directory, and `output.log` are in place of the first two; of a plain function,
`checkpoints`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from studies.errors import DirectoryTaken, ModelRefused, WrongSpec
from studies.exporters.yaml import dumped
from studies.files import unique
from studies.model.winner import Winner
from studies.run.encoding import encoded, serialised
from studies.spec import SpecFile

WEIGHTS, FITTED, PARAMS, METRICS, CARD = "model.safetensors", "fitted.json", "params.yaml", "metrics.json", "README.md"
CHECKPOINTS, LOG = "checkpoints", "output.log"
FILES = {WEIGHTS, FITTED, PARAMS, METRICS, CARD}


class Trained(Winner):
    """The content of params.yaml. files: the sha256 of each that predictions depend on."""

    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class StoredModel:
    """An opened model. weights: by name; None where the objective's training does not tell them apart."""

    trained: Trained
    fitted: dict[str, Any]
    weights: dict[str, Any] | None


@contextmanager
def new_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary directory that becomes `path` when the block ends, and is gone when it raises.

    overwrite: an earlier model may be there; it is, until the new one takes its place. Raises DirectoryTaken, before
    the block begins where that can be known.
    """
    _refuse_taken(path, overwrite)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = unique(path.absolute())
        partial.mkdir()
    try:
        yield partial
        _refuse_taken(path, overwrite)  # training takes long: somebody else may have been there meanwhile
        with _writing(path):
            for file in [*partial.iterdir(), partial]:
                _sync(file)
            _replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_model(
    directory: Path,
    content: Mapping[str, Any],
    *,
    weights: dict[str, Any] | None,
    state: dict[str, Any],
    fitted: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: str,
) -> None:
    """Write all files. content: of params.yaml, without the hashes. Raises TypeError for what is not plain data."""
    if weights is None:
        (directory / WEIGHTS).write_bytes(encoded(state))
    else:
        (directory / WEIGHTS).write_bytes(serialised(weights, {"objective": content["objective"]}))
    (directory / FITTED).write_text(json.dumps(fitted, allow_nan=False) + "\n", encoding="ascii")
    files = {name: _sha256(directory / name) for name in (WEIGHTS, FITTED)}
    write_run(directory, {**content, "files": files}, metrics, card)


def write_run(directory: Path, content: Mapping[str, Any], metrics: Mapping[str, Any], card: str) -> None:
    """Write the files that are beside what a program or a plain function has left. content, metrics: see above."""
    (directory / PARAMS).write_text(dumped(content), encoding="utf-8")
    (directory / METRICS).write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="ascii")
    (directory / CARD).write_text(card, encoding="utf-8")


def read_params(directory: Path) -> Trained:
    """Return what the model in a directory is. Raises ModelRefused."""
    if not directory.is_dir():
        raise ModelRefused(path=directory, reason="there is no such directory")
    if not (directory / PARAMS).is_file():
        raise ModelRefused(path=directory, reason=f"it holds no {PARAMS}")
    try:
        return SpecFile(directory / PARAMS).read(Trained)
    except WrongSpec as error:
        raise ModelRefused(path=directory, reason=str(error)) from None


def open_model(directory: Path) -> StoredModel:
    """Return the model in a directory, whose objective has been imported: tensors are torch's if that loaded it.

    Raises ModelRefused, also for files that are not those that were written.
    """
    trained = read_params(directory)
    for name in (WEIGHTS, FITTED):
        if not (directory / name).is_file():
            raise ModelRefused(path=directory, reason=f"it holds no {name}")
        if _sha256(directory / name) != trained.files.get(name):
            raise ModelRefused(path=directory, reason=f"{name} is not the file that was written (its sha256 differs)")
    try:
        fitted = json.loads((directory / FITTED).read_text(encoding="ascii"))
        return StoredModel(trained, fitted, _weights(directory / WEIGHTS))
    except Exception as error:  # whatever a file with a right hash and a wrong content raises
        raise ModelRefused(path=directory, reason=f"it cannot be read ({type(error).__name__}: {error})") from None


def _weights(path: Path) -> dict[str, Any] | None:
    from safetensors import safe_open

    with safe_open(path, framework="pt" if "torch" in sys.modules else "np") as file:
        if "tree" in (file.metadata() or {}):  # of `encoding.encoded`: a whole state
            return None
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def _refuse_taken(path: Path, overwrite: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir() or path.is_symlink():
        raise DirectoryTaken(path=path, reason="is there and is no directory", or_else="")
    found = {entry.name for entry in path.iterdir()}
    if others := found - FILES - {CHECKPOINTS, LOG}:
        raise DirectoryTaken(path=path, reason=f"holds {min(others)!r}, which is not a model's", or_else="")
    if found and not overwrite:
        raise DirectoryTaken(path=path, reason="holds a model already", or_else=", or replace it with --overwrite")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise DirectoryTaken(path=path, reason=reason, or_else="") from None


def _replace(partial: Path, path: Path) -> None:
    """Move one directory to where another may be."""
    old = partial.with_name(f"{partial.name}.old")
    if path.exists():
        path.rename(old)
    try:
        partial.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
