"""The code that a trial ran: the objective's module or program, and what it imports from the same project.

Two launches of one study should train the same thing, in a git checkout or outside. So the files are found by reading
their import statements, not by what happens to be loaded, and comments and blank lines do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

OWN_PACKAGE = "studies"
INTERPRETER = re.compile(r"python[\d.]*|\{python\}|bash|sh|zsh|Rscript|julia|torchrun|accelerate|deepspeed")
SCRIPTS = (".py", ".sh", ".R", ".jl")
MAX_BYTES = 2**20  # of a file that a command names and that is no Python


@cache
def source_of(module: str) -> Mapping[str, str]:
    """Return the sha256 of each file of a module's code, by its path below the project that the module is in.

    Empty for a module without a source file, such as one that was compiled.
    """
    root = _root(module.partition(".")[0])
    return {} if root is None else _with_imports([module], root)


@cache
def source_of_command(words: tuple[str, ...], directory: Path) -> Mapping[str, str]:
    """Return the same of a command: of each file that it names in its directory, and of what a Python file imports.

    A module after `-m` is such a file, too. A file of data that a command names counts where it is small.
    """
    files: dict[str, str] = {}
    for before, word in zip(("", *words), words, strict=False):
        path = directory / word
        if before == "-m":
            files |= _with_imports([word], directory)
        elif path.suffix == ".py" and _is_below(path, directory):
            found = _with_imports([path.stem], path.parent)
            place = path.parent.relative_to(directory)
            files |= {(place / name).as_posix(): digest for name, digest in found.items()}
        elif _is_below(path, directory) and path.stat().st_size <= MAX_BYTES:
            files[path.relative_to(directory).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


def missing_script(words: Sequence[str], directory: Path) -> str | None:
    """Return the script that a command has its interpreter run, where the directory is here and has no such file."""
    if not INTERPRETER.fullmatch(Path(words[0]).name) or not directory.is_dir():
        return None
    script = next((word for word in words[1:] if word.endswith(SCRIPTS)), None)
    return script if script and "{" not in script and not (directory / script).is_file() else None


def _is_below(path: Path, directory: Path) -> bool:
    return path.is_file() and path.is_relative_to(directory) and ".." not in path.parts


def _with_imports(todo: list[str], root: Path) -> dict[str, str]:
    """Return the files of these modules, and of what they import, as far as they are in `root`."""
    files: dict[str, str] = {}
    seen = set(todo)
    while todo:
        path = _file(todo.pop(), root)
        if path is None:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        name = path.relative_to(root).as_posix()
        files[name] = hashlib.sha256(_code(text).encode()).hexdigest()
        for imported in _imports(text, name):
            if imported not in seen and imported.partition(".")[0] != OWN_PACKAGE:
                seen.add(imported)
                todo.append(imported)
    return files


def fingerprint(files: Mapping[str, str]) -> str | None:
    """Return one sha256 over the files of `source_of`; None where there are none."""
    lines = (f"{name} {digest}" for name, digest in sorted(files.items()))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if files else None


def _root(top: str) -> Path | None:
    """Return the directory that the project's modules are imported from."""
    found = sys.modules[top].__spec__ if top in sys.modules else importlib.util.find_spec(top)
    if found is not None and found.origin is None and found.submodule_search_locations:
        place = Path(next(iter(found.submodule_search_locations)))  # a directory without __init__.py
        return None if "site-packages" in place.parts else place.parent
    if found is None or not found.origin or not found.origin.endswith(".py"):
        return None
    path = Path(found.origin)
    return path.parent.parent if found.submodule_search_locations is not None else path.parent


def _file(module: str, root: Path) -> Path | None:
    """Return the file of a module of the project, or None for any other."""
    place = root.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _imports(text: str, name: str) -> Iterator[str]:
    """Yield the modules that a file may import: of `from a import b` both a and a.b, and the packages they are in."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    package = list(Path(name).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from _with_parents(f"{base}.{alias.name}" if base else alias.name)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _code(text: str) -> str:
    """Return the text without comments, blank lines and trailing spaces; the whole of it where it is no Python."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    except (tokenize.TokenError, SyntaxError):
        return text
    return "\n".join(line.rstrip() for line in lines if line.strip())
