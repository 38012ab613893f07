"""What Typer says of a wrong option or command, as one sentence: what was typed, what was expected, what to type."""

from __future__ import annotations

import re
from typing import Any

from studies.words import cut

EXAMPLES = {"int": 4, "float": 30}


def sentence(error: Any) -> str:
    """Return the sentence. error: one of Typer's, which has `format_message`."""
    said = " ".join(error.format_message().split()).removesuffix(".")
    problems: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()  # pydantic's, of a value
    if problems and error.param is not None:
        return _of_value(error.param, problems[0]) or said
    if getattr(error, "possibilities", None):
        return f"There is no option {error.option_name}; did you mean {' or '.join(sorted(error.possibilities))}?"
    if said.endswith("?"):
        return said
    said = re.sub(r"^Got unexpected extra argument(?:s|\(s\))? \((.*)\)$", r"'\1' is more than was expected", said)
    command = error.ctx.command_path if error.ctx is not None else "studies COMMAND"
    return f"{said}; `{command} --help` shows what to type."


def _of_value(param: Any, problem: dict[str, Any]) -> str | None:
    """Return what is wrong with a number; None for another kind of value."""
    kind, bounds = problem["type"].partition("_")[0], problem.get("ctx", {})
    if bound := [f"{bounds[key]} or {word}" for key, word in (("ge", "more"), ("le", "less")) if key in bounds]:
        expected, example = bound[0], bounds.get("ge", bounds.get("le"))
    elif kind in EXAMPLES:
        expected = "a whole number" if kind == "int" else "a number"
        example = max(EXAMPLES[kind], param.default or 0)
    else:
        return None
    name = max(param.opts, key=len) if param.param_type_name == "option" else param.metavar
    typed = f"{name} {example}" if param.param_type_name == "option" else f"{example}"
    return f"{name} is {cut(str(problem['input']), 40)!r}; expected {expected}, such as {typed}."
