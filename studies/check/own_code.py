"""Where in a user's code something happened, as file:line."""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

# By their folders' names too: a virtual environment may take libraries from another one.
PACKAGES = {"site-packages", "dist-packages"}
LIBRARIES = (
    *(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).resolve().parents[1]),
)


class OwnCode:
    """The code of an objective: its own package wherever that is installed, and whatever else is not a library."""

    def __init__(self, module: str = "", found: Any = None) -> None:
        """module: of the objective, as its study file names it. found: the class, instance or function in it."""
        self._found = found if inspect.isroutine(found) or isinstance(found, type) else type(found)
        package = sys.modules.get(module.partition(".")[0])
        files = [*getattr(package, "__path__", []), getattr(sys.modules.get(module), "__file__", None)]
        self._own = tuple(str(Path(file).resolve()) for file in files if file)
        self._known: dict[str, bool] = {}

    def is_own(self, file: str) -> bool:
        """Whether a file is the user's."""
        if file not in self._known:
            resolved = Path(file).resolve()
            path = str(resolved)
            library = file.startswith("<") or path.startswith(LIBRARIES) or not PACKAGES.isdisjoint(resolved.parts)
            self._known[file] = path.startswith(self._own) or not library if self._own else not library
        return self._known[file]

    def here(self) -> str | None:
        """Return the innermost place of the user's code that is being executed."""
        return self.of_frame(sys._getframe(1))

    def of_frame(self, frame: FrameType | None) -> str | None:
        """Return the innermost place of the user's code, from this frame outwards."""
        while frame is not None and not self.is_own(frame.f_code.co_filename):
            frame = frame.f_back
        return None if frame is None else place(frame.f_code.co_filename, frame.f_lineno)

    def of_error(self, error: BaseException) -> str | None:
        """Return the innermost place of the user's code in an error's traceback."""
        if isinstance(error, SyntaxError) and error.filename and self.is_own(error.filename):
            return place(error.filename, error.lineno)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self.is_own(frame.filename)]
        return place(frames[-1].filename, frames[-1].lineno) if frames else None

    def of_parameter(self, name: str) -> str | None:
        """Return where a parameter is declared: the key of that name, with a mapping for its value."""
        for kind in getattr(self._found, "__mro__", []):
            with suppress(OSError, TypeError):
                lines, first = inspect.getsourcelines(kind)
                file = inspect.getsourcefile(kind) or ""
                found = [line for line in _keys(file, name) if first <= line < first + len(lines)]
                if self.is_own(file) and found:
                    return place(file, found[-1])
        for file in self._files():  # a space that is put together outside of the class
            if found := _keys(file, name):
                return place(file, found[-1])
        return self.of(self._found)

    def of(self, thing: Any) -> str | None:
        """Return where a class or a function begins."""
        with suppress(OSError, TypeError):
            return place(inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1])
        return None

    def of_global(self, file: str, name: str) -> str | None:
        """Return where a module gives a global its value."""
        for node in ast.walk(_parsed(file)):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return place(file, getattr(node, "lineno", None))
        return None

    def is_in_objective(self, where: str | None) -> bool:
        """Whether a place is in the file that has the objective itself, not in one that it shares with others."""
        files = self._files()
        return where is not None and bool(files) and where.rpartition(":")[0] == place(files[0], 0).rpartition(":")[0]

    def _files(self) -> list[str]:
        files: dict[str, None] = {}
        for kind in getattr(self._found, "__mro__", [self._found]):
            with suppress(OSError, TypeError):
                if (file := inspect.getsourcefile(kind)) and self.is_own(file):
                    files[file] = None
        return list(files)


def place(file: str, line: int | None) -> str:
    """Return file:line, the file as seen from the working directory."""
    path = Path(file).resolve()
    with suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"


def _keys(file: str, name: str) -> list[int]:
    """Return the lines with a key of this name that has a mapping for its value."""
    return [
        key.lineno
        for node in ast.walk(_parsed(file))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == name and isinstance(value, ast.Dict)
    ]


def _parsed(file: str) -> ast.AST:
    try:
        return ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ast.Module([], [])
