"""A study file from a W&B sweep: `studies init sweep.yaml`.

The keys of a sweep are those of W&B's documentation, "Sweep configuration options".
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from studies.errors import WrongInput
from studies.spec import catalog
from studies.spec.model import MAX_NAME

SUFFIXES = (".yaml", ".yml")
METHODS = {"random": "random", "grid": "grid"}  # `bayes` is the default, gp
COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]  # W&B's own, where the file has none
WORDS = {  # of a command, what becomes of them
    "${env}": None,
    "${interpreter}": "python",
    "${args}": "{params}",
    "${args_no_hyphens}": "{params:hydra}",
}
N_TRIALS, MAX_EPOCHS = 30, 27
EPOCHS = re.compile(r"(max_|num_|n_)?epochs?")
SPREAD = 2  # standard deviations of a normal distribution, around its mean


def is_sweep(given: str) -> bool:
    """Whether `studies init` was given the file of a W&B sweep: it has parameters as no study file has them."""
    path = Path(given)
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and isinstance(content.get("parameters"), dict) and "space" not in content


def study_file(given: str) -> tuple[str, str]:
    """Return the name and the text of a study file for a sweep. Raises WrongInput for what cannot be one."""
    sweep: dict[str, Any] = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
    space: dict[str, Any] = {}
    for name, given_domain in _parameters(sweep["parameters"]):
        space[name] = _domain(name, given_domain, given)
    name = _name(sweep, given)
    lines = [
        f"# From the W&B sweep {given}. Correct it, then type: studies check ./{name}.yaml",
        f"name: {name}",
        *([f"description: {_flow(sweep['description'])}"] if isinstance(sweep.get("description"), str) else []),
        "objective:",
        f"  command: {_flow(_command(sweep, space, given))}",
        *_reporting(sweep),
        *_metric(sweep),
        *_budget(sweep, space),
        "space:",
        *(f"  {name}: {_flow(domain)}" for name, domain in space.items()),
    ]
    return name, "\n".join(lines) + "\n"


def _parameters(given: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the parameters, those of a group with its name and a dot."""
    for name, domain in given.items():
        if not isinstance(domain, Mapping):
            yield f"{group}{name}", {"value": domain}
        elif isinstance(domain.get("parameters"), Mapping):
            yield from _parameters(domain["parameters"], f"{group}{name}.")
        else:
            yield f"{group}{name}", domain


def _domain(name: str, given: Mapping[str, Any], file: str) -> Any:
    """Return a parameter in the language of a study file. Raises WrongInput."""
    if "value" in given:
        return given["value"]
    if isinstance(given.get("values"), list):
        return given["values"]
    kind = str(given.get("distribution", ""))
    low, high, step = given.get("min"), given.get("max"), given.get("q", 1) if kind.startswith("q_") else None
    if "normal" in kind and "mu" in given:
        low, high = (_rounded(given["mu"] + sign * SPREAD * given.get("sigma", 1)) for sign in (-1, 1))
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        raise WrongInput(
            reason=f"{file}: the parameter {name!r} is {_flow(dict(given))}; expected value, values, or min and max."
        )
    is_log = "log" in kind
    if is_log and "values" not in kind:  # the ends are powers of e
        low, high = _rounded(math.exp(low)), _rounded(math.exp(high))
    is_whole = kind in ("", "int_uniform", "q_uniform") and all(isinstance(one, int) for one in (low, high, step or 1))
    ends = {"low": low, "high": high} if is_whole else {"low": float(low), "high": float(high)}
    if is_log:
        return ends | {"log": True}
    return ends | ({} if step is None else {"step": step})


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _command(sweep: Mapping[str, Any], space: Mapping[str, Any], file: str) -> str:
    """Return the command with our placeholders. Raises WrongInput where the sweep has no program to start."""
    program, command = sweep.get("program"), sweep.get("command", COMMAND)
    words = command if isinstance(command, list) else shlex.split(str(command))
    if "${program}" in words and not program:
        raise WrongInput(reason=f"{file} has no `program`; expected the script of the sweep, such as program: train.py")
    placed: list[str | None] = []
    for word in map(str, words):
        if word == "${args_no_boolean_flags}":
            placed += [_argument(name, domain) for name, domain in space.items()]
        else:
            placed.append(str(program) if word == "${program}" else WORDS.get(word, word))
    return " ".join(word if "{" in word else shlex.quote(word) for word in placed if word is not None)


def _argument(name: str, domain: Any) -> str:
    is_flag = all(isinstance(each, bool) for each in (domain if isinstance(domain, list) else [domain]))
    return f"--{name}{{{name}:flag}}" if is_flag else f"--{name} {{{name}}}"


def _reporting(sweep: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to be done to the script, where it does not do it yet."""
    program = Path(str(sweep.get("program", "")))
    if program.is_file() and "program_callbacks" in program.read_text(encoding="utf-8", errors="replace"):
        return
    yield "  # CORRECT THIS: the script reports nothing to the study yet. Before its wandb.init(), type"
    yield "  #   from studies import program_callbacks; program_callbacks.wandb()"
    yield "  # Each trial is a run of its own in W&B, as before; WANDB_MODE=offline, or disabled, keeps it here."


def _metric(sweep: Mapping[str, Any]) -> Iterator[str]:
    metric = sweep.get("metric")
    metric = metric if isinstance(metric, Mapping) else {}
    yield f"metric: {_flow(metric.get('name', 'val_loss'))}" + ("" if metric.get("name") else "  # CORRECT THIS")
    yield f"direction: {metric.get('goal', 'minimize')}"


def _budget(sweep: Mapping[str, Any], space: dict[str, Any]) -> Iterator[str]:
    """Yield how many trials of how many epochs there are, the sampler and the pruner; the epochs leave the space."""
    method, early = METHODS.get(str(sweep.get("method"))), sweep.get("early_terminate")
    early = early if isinstance(early, Mapping) else {}
    if method is not None:
        yield f"sampler: {{name: {method}}}"
    if method != "grid" or "run_cap" in sweep:
        yield f"n_trials: {sweep.get('run_cap', N_TRIALS)}"
    named = next((name for name, domain in space.items() if EPOCHS.fullmatch(name) and isinstance(domain, int)), None)
    n_epochs = early.get("max_iter", MAX_EPOCHS if named is None else space[named])
    yield f"max_epochs: {n_epochs}" + ("" if named or early else "  # CORRECT THIS: how often a run logs the metric")
    if isinstance(least := early.get("min_iter"), int):
        yield f"pruner: {{name: asha, min_epochs: {least}, reduction_factor: {early.get('eta', 3)}}}"


def _name(sweep: Mapping[str, Any], file: str) -> str:
    given = sweep.get("name") or Path(str(sweep.get("program") or file)).stem
    name = re.sub(r"[^a-z0-9]+", "-", str(given).lower()).strip("-")[: MAX_NAME - 3].strip("-")
    name = name if re.match(r"[a-z]", name) else f"my-{name}".strip("-")
    return f"my-{name}" if name in catalog() else name


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()
