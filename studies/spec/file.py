"""A study file, read with the line of every key, so that an error points at the place that holds the mistake."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from studies import names
from studies.errors import UnknownStudy, WrongInput, WrongSpec
from studies.spec.mistakes import reason_of
from studies.spec.model import MAX_NAME, StudySpec, in_full
from studies.spec.program import DOTTED, PROGRAM
from studies.spec.yaml import parsed, read_value
from studies.words import meant, near

CATALOG = Path(__file__).parent / "catalog"

Content = TypeVar("Content", bound=BaseModel)


@dataclass(frozen=True)
class Override:
    """A value that replaces one of the study file.

    path: the keys that lead to it. option: what the user wrote to ask for it, such as `--trials 0`; errors name it.
    """

    path: tuple[str, ...]
    value: Any
    option: str

    @classmethod
    def parsed(cls, text: str, option: str = "--set", example: str = "space.batch_size=[64]") -> Override:
        """Read the KEY=VALUE of an option: a dotted key, and a value in YAML. Raises WrongSpec."""
        example, option = f"{option} {example}", f"{option} {text if text.strip() else repr(text)}"
        key, equals, value = text.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            what = "it has no =" if not equals else "a key is empty" if key.strip() else "it has no key before the ="
            raise WrongSpec(where=option, reason=f"{what}; expected KEY=VALUE, such as {example}")
        return cls(path, read_value(value, option), option)

    def check_after(self, others: Iterable[Override]) -> None:
        """Raise WrongSpec where this one makes another pointless that was given before it."""
        for other in others:
            if other.path[: len(self.path)] == self.path:
                reason = f"{'.'.join(other.path)} is given already, by {other.option}; leave one of the two out"
                raise WrongSpec(where=self.option, reason=reason)


def load(name: str, overrides: Sequence[Override] = ()) -> StudySpec:
    """Return the study of this name in the catalog, or in the file of this path.

    Raises UnknownStudy, WrongSpec, WrongInput.
    """
    return SpecFile.find(name).spec(overrides)


def catalog() -> dict[str, Path]:
    """Return the shipped studies: name -> file."""
    return {path.stem: path for path in sorted(CATALOG.glob("*.yaml"))}


def file_called(name: str) -> str:
    """Return a hint at the study file of this name in the working directory; nothing where there is none."""
    here = (path.name for path in Path().glob("*.yaml"))
    return f"; did you mean ./{name}.yaml?" if f"{name}.yaml" in here else ""


class SpecFile:
    """A study file with the line of every key, so that an error can point at it."""

    def __init__(self, path: Path | str, stored: dict[str, Any] | None = None) -> None:
        """Read a file, or take the spec of a study in the storage, of which `path` is then the name."""
        self.path = Path(path)
        self._overrides: list[Override] = []
        self._lines: dict[tuple[Any, ...], int] = {}
        self._stored = stored is not None
        if stored is not None:
            self.data = stored
            return
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise WrongSpec(where=path, reason=f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        except OSError as error:
            raise WrongSpec(where=path, reason=f"it cannot be read ({error.strerror})") from None
        self.data, self._lines = parsed(text, self.path)

    @classmethod
    def find(cls, name: str) -> SpecFile:
        """Return the file a user means by a study's name or a path; UnknownStudy when there is none."""
        known = catalog()
        if name in known:
            return cls(known[name])
        if name.endswith((".yaml", ".yml")) or ("/" in name and not name.endswith(".py")):
            if not Path(name).is_file():
                there = (file.name for file in Path(name).parent.glob("*.y*ml") if ".best." not in file.name)
                hint = meant(Path(name).name, there) or "; check the path"
                raise WrongSpec(where=name, reason=f"there is no such study file{hint}")
            return cls(Path(name))
        if name.endswith(".py") and Path(name).is_file():
            todo = f"`studies init {shlex.quote(name)}` writes a study file for it"
            raise WrongInput(reason=f"{name} is a script, not a study; {todo}.")
        raise UnknownStudy(name=name, near=file_called(name) or near(name, known))

    def spec(self, overrides: Sequence[Override] = ()) -> StudySpec:
        """Return the validated study; WrongSpec with line, what was found and what is allowed.

        overrides: replace what the file says, the last one last; `error` knows them from then on.
        """
        data, self._overrides = self.data, []
        for given in overrides:
            override = replace(given, path=_resolved(data, given.path))
            override.check_after(self._overrides)
            self._overrides.append(override)
            data = _with(in_full(data), override.path, override.value)
            if override.path == ("metrics",):  # in place of the file's one
                data = {key: value for key, value in data.items() if key not in ("metric", "direction")}
        spec = self._validated(StudySpec, data)
        if not self._stored:
            self._check_name(spec.name)
        return spec

    def read(self, kind: type[Content]) -> Content:
        """Return what a file of another kind holds, told apart and validated in the same way."""
        return self._validated(kind, self.data)

    def _validated(self, kind: type[Content], data: Any) -> Content:
        if kind is StudySpec and {"study", "params"} <= set(data):
            reason = (
                "it is what `studies export` writes, no study file; `studies train --params` and "
                "`studies launch NAME --start-with` take it"
            )
            raise WrongSpec(where=self.path, reason=reason)
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            # A misspelt key is also a missing one: the misspelling is what helps.
            first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
            keys = (key for key in first["loc"] if key not in (DOTTED, PROGRAM))
            raise self.error(reason_of(first), *keys) from None

    def _check_name(self, name: str) -> None:
        if names.parts(name)[1] is not None or names.confirmed(name) is not None:
            reason = f"name is {name!r}, as `studies` itself names versions and confirmations; choose another"
            raise self.error(reason, "name")
        if len(name) > MAX_NAME:
            raise self.error(f"name is {name!r}: it should have at most {MAX_NAME} characters", "name")

    def error(self, reason: str, *path: str | int) -> WrongSpec:
        """Return the error that points at a place of the file, or at the option that replaced it."""
        keys, in_file = tuple(map(str, path)), path in self._lines
        for override in reversed(self._overrides):
            made_it = not in_file and override.path[: len(keys)] == keys  # a key on the way that the file lacks
            if keys[: len(override.path)] == override.path or (keys and made_it):
                return WrongSpec(where=override.option, reason=reason)
        known = [path[:length] for length in range(len(path), -1, -1) if path[:length] in self._lines]
        return WrongSpec(where=f"{self.path}:{self._lines[known[0]] if known else 1}", reason=reason)


def _resolved(data: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path with the keys that `data` has, in which there may be dots, as in `space.optimizer.lr`."""
    ends = range(len(path), 0, -1) if isinstance(data, dict) else ()
    found = next((end for end in ends if ".".join(path[:end]) in data), 0)
    key = ".".join(path[:found])
    return (key, *_resolved(data[key], path[found:])) if found else path


def _with(data: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    inner = data if isinstance(data, dict) else {}
    return inner | {head: _with(inner.get(head), tuple(rest), value) if rest else value}
