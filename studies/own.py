"""What a dotted path names: a thing of this package, of the environment, or of a user's own working directory."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from studies.errors import WrongInput
from studies.settings import NOTEBOOK, Settings
from studies.words import meant, near

CELLS = "cells_"  # how a module begins that `studies.cells` took from a notebook


def imported(path: str, kind: str, default: str = "", own: bool = True, known: Iterable[str] = ()) -> Any:
    """Import `module:Name`. Raises WrongInput where there is no such thing.

    default: the name where the path has none; with neither, the module itself is returned. own: whether it may be a
    user's own, so that it is looked for in the working directory first, as everything imported afterwards is. known:
    what may have been meant in place of a module that there is not.
    """
    module_name, _, name = path.partition(":")
    try:
        module = import_own(module_name) if own else importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            file = f"; did you mean {path.replace('.py', '', 1)!r}?" if module_name.endswith(".py") else ""
            hint = file or meant(module_name, known)
            raise WrongInput(
                reason=f"{kind} {path!r} was not found: there is no module {error.name!r} in the working directory or "
                f"the environment; expected {'package.module or ' if default else ''}package.module:Name{hint}"
            ) from None
        raise
    name = name or default
    if not name or hasattr(module, name):
        return getattr(module, name) if name else module
    public = [each for each in vars(module) if not each.startswith("_")]
    raise WrongInput(reason=f"module {module_name!r} has no {name!r}{near(name, public)}")


def import_own(name: str) -> ModuleType:
    """Import a module from the working directory or the environment; it is found in the former from now on.

    A folder of the same name as a package, such as `objectives`, hides nothing: what only one of the two has is taken
    from there. Raises WrongInput where both have it, and ModuleNotFoundError where neither has.
    """
    importlib.invalidate_caches()
    here = str(Path.cwd())
    if name.startswith(CELLS) and (taken := str(Settings.from_environment().home / NOTEBOOK)) not in sys.path:
        sys.path.append(taken)
    elsewhere = [entry for entry in sys.path if entry not in ("", here)]
    top = name.partition(".")[0]
    if top not in sys.modules:
        found = PathFinder.find_spec(top, [here])
        own = _file_of(name, found)
        sys.path[:] = elsewhere
        other = _file_of(name, importlib.util.find_spec(top))
        if own is not None and other is not None and own != other:
            raise WrongInput(reason=f"{name!r} is both {own} and {other}; rename yours, and what names it")
        # Of a package that is in both places, the one that has the module is imported now, before the other is seen.
        # A folder without __init__.py has no code that would need the rest of the path.
        if own is not None and found is not None and found.loader is None:
            sys.path[:] = [here]
        if own is None or (found is not None and found.loader is None):
            with suppress(ModuleNotFoundError):
                importlib.import_module(top)
        sys.path[:] = elsewhere
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _file_of(name: str, top: ModuleSpec | None) -> Path | None:
    """Return the file of a module below what was found of its top package; nothing is imported."""
    rest = name.split(".")[1:]
    if top is None:
        return None
    if not rest:
        return Path(top.origin).resolve() if top.origin and top.has_location else None
    for place in (Path(folder, *rest) for folder in top.submodule_search_locations or ()):
        for file in (place.with_suffix(".py"), place / "__init__.py", *place.parent.glob(f"{place.name}.*.so")):
            if file.is_file():
                return file.resolve()
    return None
