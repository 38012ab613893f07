"""A study file for a script with an Optuna objective, which is launched as it is: `studies init tune.py`."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.errors import WrongInput

N_TRIALS = 30
UNGUARDED = (
    "# CORRECT THIS: put `study.optimize(...)` below `if __name__ == '__main__':`; each worker imports the module, and",
    "# would run the whole search first",
)


@dataclass
class Objective:
    """What a script says of its search. function: its name. is_unguarded: it would search whenever it is imported."""

    function: str
    reports: bool
    directions: list[str] = field(default_factory=lambda: ["minimize"])
    n_trials: int = N_TRIALS
    start_with: list[dict[str, Any]] = field(default_factory=list)
    is_unguarded: bool = False


def objective_in(script: Path) -> Objective | None:
    """Return what a script gives to Optuna, or its first function that suggests parameters, and what it says of both.

    Raises WrongInput for what it gives to Optuna and a worker cannot import.
    """
    try:
        tree = ast.parse(script.read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and _takes_a_trial(node)}
    others = {*_names_in(tree.body)}
    given = _given_to_optuna(tree)
    suggesting = (name for name, node in functions.items() if _suggests(node))
    name = given.id if isinstance(given, ast.Name) else next(suggesting, None) if given is None else None
    if name is not None and (name in functions or name in others):
        called = {method for method, _ in _calls([functions.get(name, tree)])}
        found = Objective(name, "report" in called)
        _complete(found, tree)
        return found
    if given is not None:
        raise _not_importable(script, given)
    return None


def _given_to_optuna(tree: ast.Module) -> ast.expr | None:
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    if any("optuna" in (getattr(node, "module", None), *(each.name for each in node.names)) for node in imports):
        for name, call in _calls([tree]):
            given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "func")]
            if name == "optimize" and given:
                return given[0]
    return None


def _names_in(statements: list[ast.stmt]) -> Iterator[str]:
    for node in statements:
        if isinstance(node, ast.Assign):
            yield from (each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (each.asname or each.name for each in node.names)


def _takes_a_trial(function: ast.FunctionDef) -> bool:
    return len(function.args.args) - len(function.args.defaults) == 1


def _suggests(function: ast.FunctionDef) -> bool:
    return any(name.startswith("suggest_") for name, _ in _calls([function]))


def _not_importable(script: Path, given: ast.expr) -> WrongInput:
    code = ast.unparse(given)
    fix = "move it there" if isinstance(given, ast.Name) else f"write `tuned = {code}` there, and optimize(tuned, ...)"
    return WrongInput(
        reason=f"{script} gives `{code}` to Optuna, which is no name at the top level of the file, where workers look "
        f"for it; {fix}, with all that it refers to above it, and the search below `if __name__ == '__main__':`."
    )


def _complete(found: Objective, tree: ast.Module) -> None:
    statements = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If))]
    found.is_unguarded = any(name == "optimize" for name, _ in _calls(statements))
    for name, call in _calls([tree]):
        given = {word.arg: word.value for word in call.keywords}
        match name, given:
            case "create_study", {"direction": ast.Constant(str(direction))}:
                found.directions = [direction]
            case "create_study", {"directions": ast.List(elts=listed)}:
                found.directions = [str(one.value) for one in listed if isinstance(one, ast.Constant)]
            case "enqueue_trial", _ if call.args:
                with suppress(ValueError):
                    found.start_with.append(ast.literal_eval(call.args[0]))
            case "optimize", {"n_trials": ast.Constant(int(n_trials))} if n_trials > 0:
                found.n_trials = n_trials


def _calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of functions and methods, each with its name."""
    for node in nodes:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute | ast.Name):
                yield call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id, call


def written(name: str, script: Path, found: Objective) -> str:
    """Return the study file. Raises WrongInput for a script that cannot be imported by its name."""
    parts = script.with_suffix("").parts
    if not all(part.isidentifier() for part in parts):
        raise WrongInput(
            reason=f"{script} has an Optuna objective, {found.function}, but cannot be imported under this name; move "
            "it below this directory, with a name of letters, digits and underscores alone, such as tune.py."
        )
    lines = [
        f"# From the Optuna objective in {script}. Correct it, then type: studies check ./{name}.yaml",
        *(UNGUARDED if found.is_unguarded else []),
        f"name: {name}",
        f"objective: {'.'.join(parts)}:{found.function}  # module:function, found from the working directory",
    ]
    if len(found.directions) == 1:
        lines += ["metric: value  # what to call it", f"direction: {found.directions[0]}"]
    else:
        metrics = ", ".join(f"value_{index}: {direction}" for index, direction in enumerate(found.directions))
        lines += [f"metrics: {{{metrics}}}  # what to call them"]
    lines += [f"n_trials: {found.n_trials}"]
    if found.reports:
        lines += ["max_epochs: 10  # CORRECT THIS: how often a trial reports at most"]
    lines += ["start_with:", *(f"  - {json.dumps(one)}" for one in found.start_with)] if found.start_with else []
    return "\n".join(lines) + "\n"
