"""The reference pages, made from the code: a new command, key, error or check is in them by being there.

Each function below returns one page as Markdown; `PAGES` names them. `docs/build.py` writes them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from blocks import block, code, described, listed, page, table

from studies import check, errors, model, settings
from studies.check import checks, program
from studies.cli import app
from studies.data.sets import of_catalog
from studies.errors import EXIT_CODES, StudiesError
from studies.exporters import exporter_of
from studies.names import Reason
from studies.record.verdicts import VerdictKind
from studies.registry import EXPORTERS, PRUNERS, SAMPLERS
from studies.run.objective import import_objective
from studies.spec import ConfigFile, Program, Reports, StudySpec, catalog
from studies.spec.file import load
from studies.spec.kubernetes import Kubernetes
from studies.spec.model import Part

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"  # exported files that a test compares byte by byte with what the exporters write


def commands() -> str:
    """Every command with its arguments and options, from Typer."""
    root = typer.main.get_command(app)
    sections = [_command(name, command) for name, command in walk(root)]
    codes = table(["exit code", "means"], [(code(number), meaning) for number, meaning in EXIT_CODES.items()])
    return page(
        "Commands",
        "Data goes to stdout, progress and messages to stderr. Every command takes `-h`.",
        "A NAME is a study of the catalog, a study in the storage (`NAME@2` is its second version), or the path of a "
        "study file.",
        codes,
        "## studies\n\n" + _options(root, "studies"),
        *sections,
    )


def walk(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """Yield every command below this one: the words that a person types, and the command."""
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from walk(child, *words, name)
        if getattr(child, "invoke_without_command", True):  # a command, or a group that is one, too
            yield " ".join(("studies", *words, name)), child


def _command(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    return f"## {name}\n\n{text}\n\n{_options(command, name)}"


def _options(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    records = [parameter.get_help_record(context) for parameter in command.params]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = [(code(record[0]), record[1]) for record in records if record is not None]
    return block("text", usage) + ("\n" + table(["argument or option", "meaning"], rows) if rows else "")


def study_file() -> str:
    """Every key of a study file, from its pydantic model."""
    example = (ROOT / "studies" / "spec" / "catalog" / "meli-cnn.yaml").read_text(encoding="utf-8")
    shipped = [(code(name), load(name).description) for name in catalog()]
    return page(
        "Study file",
        "A study is one YAML file. A mistake in it is reported with its line, what was found, what is allowed and the "
        "nearest known name, before anything runs. `--set KEY=VALUE` replaces a key for one launch; a dot leads to an "
        "inner key, as in `--set limits.gpu_hours=8`.",
        block("yaml", example),
        *(f"{title}\n\n{text}" for title, text in _keys()),
        "## A parameter in `space`",
        table(
            ["written as", "means"],
            [
                ("`{low: 1e-4, high: 1e-1, log: true}`", "a range; of whole numbers when both ends are whole"),
                ("`{low: 0, high: 0.5, step: 0.1}`", "a range in steps"),
                ("`{low: 1e-4, high: 1e-2}`", "a narrower range, with the `log` or the `step` that is declared"),
                ("`[64, 128, 256]`", "one of these values"),
                ("`0.001`", "this value: nothing is searched"),
            ],
        ),
        "## Samplers and pruners",
        "`sampler.name` is one of " + _named(SAMPLERS) + "; `pruner.name` is one of " + _named(PRUNERS) + ". The name "
        "may stand alone, as in `sampler: tpe`. Both may also be the dotted path of Optuna's or your own, "
        "`module:Name`, with `options`, a mapping of what else its constructor takes.",
        "## The catalog\n\n" + table(["study", "what it is"], shipped),
    )


def _named(registry: Iterable[str]) -> str:
    return ", ".join(code(name) for name in registry)


def _keys() -> Iterator[tuple[str, str]]:
    yield "## Keys", _keys_of(StudySpec)
    for name, field in StudySpec.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Part):
            yield f"## Keys of `{name}`", _keys_of(field.annotation)
    yield "## Keys of `resources.kubernetes`", _keys_of(Kubernetes)
    yield "## Keys of `objective`, where it is a program", _keys_of(Program)
    yield "## Keys of `objective.config`", _keys_of(ConfigFile)
    yield "## Keys of `objective.reports`", _keys_of(Reports)


def _keys_of(part: type[Part]) -> str:
    schema = part.model_json_schema()
    meanings = described(part.__doc__, part.model_fields)
    rows = []
    for name, found in schema["properties"].items():
        required = name in schema.get("required", ())
        default = "required" if required else "see below" if "$ref" in found else code(_yaml(found.get("default")))
        rows.append((code(name), _kind(found), default, meanings.get(name, "")))
    return table(["key", "value", "default", "meaning"], rows)


def _yaml(value: Any) -> str:
    return "none" if value is None else '""' if value == "" else str(value)


def _kind(schema: dict[str, Any]) -> str:
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_kind(one) for one in either)
    if "enum" in schema:
        return " or ".join(code(one) for one in schema["enum"])
    word = {"integer": "a whole number", "number": "a number", "string": "text", "array": "a list", "null": "none"}
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    kind = word.get(schema.get("type", ""), "a mapping")
    return ", ".join([kind, *(f"{words} {schema[key]}" for key, words in limits.items() if key in schema)])


def variables() -> str:
    """Every STUDIES_* variable, from the settings."""
    fields = settings.Settings.__dataclass_fields__
    meanings = described(settings.Settings.__doc__, fields)
    rows = []
    for meaning in meanings.values():
        found = re.search(r"STUDIES_[A-Z_]+", meaning)
        if found:
            text = re.sub(r"\s*\(?STUDIES_[A-Z_]+\)?", "", meaning, count=1)
            rows.append((code(found[0]), text, DEFAULTS.get(found[0], "")))
    return page(
        "Variables",
        "Environment variables, all optional. An empty one counts as absent.",
        table(["variable", "meaning", "default"], rows),
        "`XDG_DATA_HOME` moves the default of `STUDIES_HOME`. `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT`: the command line "
        "sets `GOMP_SPINCOUNT=1000` unless one of them is set, so that two trainings on the same cores do not slow "
        "each other down. `CUDA_VISIBLE_DEVICES` is respected. boto3 reads S3 credentials from its own variables.",
    )


DEFAULTS = {
    "STUDIES_STORAGE": "the embedded server",
    "STUDIES_HOME": "`~/.local/share/studies`",
    "STUDIES_DATA": "`STUDIES_HOME/data`",
    "STUDIES_ARTIFACTS": "`STUDIES_HOME`",
    "STUDIES_PYTHON": "an environment of its own",
    "STUDIES_WEBHOOK": "nobody is told",
    "STUDIES_WEBHOOK_SECRET": "no signature",
    "STUDIES_NOTIFY_COMMAND": "no command",
    "STUDIES_LEASE_S": f"`{settings.Settings.lease_s:g}`",
    "STUDIES_STORAGE_WAIT_S": f"`{settings.Settings.storage_wait_s:g}`",
}


def error_page() -> str:
    """Every error, its exit code and its sentence."""
    rows = [(code(error.__name__), code(error.exit_code), _sentence(error)) for error in all_errors()]
    return page(
        "Errors",
        "An error is one sentence on stderr: what was given, what was expected, what to type next. "
        "`studies --debug COMMAND` shows the traceback. From Python, each is an exception of `studies.errors`, a "
        "subclass of `StudiesError`.",
        table(["exit code", "means"], [(code(number), meaning) for number, meaning in EXIT_CODES.items()]),
        table(["error", "exit code", "message"], rows),
    )


def _sentence(error: type[StudiesError]) -> str:
    text = re.sub(r"(?<=\w)\{\w+\}", "", inspect.getdoc(error) or "")  # what may follow a word or not
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: found[1].upper(), text)


def all_errors() -> list[type[StudiesError]]:
    """Return the errors in the order of the module."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, StudiesError)]
    return [error for error in found if error is not StudiesError]


def trials() -> str:
    """How a trial ends: states and reasons, in the words of the code, the storage and `studies status`."""
    rows = [
        ("`COMPLETE`", "", "trained to max_epochs, or to its time limit; its value is that of its best epoch"),
        ("`PRUNED`", "", "worse than others at the same epoch"),
        *(("`FAIL`", code(reason.value), reason.meaning) for reason in Reason),
    ]
    continued = ", ".join(code(reason.value) for reason in Reason if reason.is_continued)
    retried = " and ".join(code(reason.value) for reason in Reason if reason.is_retried)
    return page(
        "How a trial ends",
        table(["state", "reason", "means"], rows),
        f"A trial that failed for {continued} is *continued*: another trial with the same parameters and seed goes on "
        f"from its last checkpoint, and only that one counts. With {retried}: at most `limits.max_retries` times. "
        "[When something failed](../guides/when-something-failed.md) says what to do about each.",
        "A trial is `WAITING` until a worker claims it, then `RUNNING`, then one of the states above. What has ended "
        "never changes.",
    )


def verdicts() -> str:
    """What is said of a trial's curve."""
    return page(
        "Verdicts",
        "Every trial that has ended has a verdict: in the report, in `studies status`, and as the user attribute "
        "`verdict` with `verdict_evidence` and `verdict_advice`. The first that holds is the verdict.",
        table(["verdict", "means"], [(code(kind.value), kind.meaning) for kind in VerdictKind]),
    )


FINDING = ("mistake", "severity", "what is reported", "how to fix it")


def check_page() -> str:
    """What `studies check` looks for."""
    parts = []
    for each in checks.load().values():
        module = sys.modules[type(each).__module__]
        found = list(findings_in(module))
        text = f"## {each.title.capitalize()}\n\n{(module.__doc__ or '').strip().splitlines()[0]}"
        parts.append(text + ("\n\n" + table(FINDING, found) if found else ""))
    before = table(FINDING, findings_in(check))
    return page(
        "Checks",
        "`studies check NAME` trains a little, in under a minute, and reports mistakes with their line. An error makes "
        "the study's numbers wrong or its trials fail: the command exits with 1. A warning does not. What could not be "
        "checked is listed, and does not count against a study. `--json` prints the same as data.",
        *parts,
        "## Of a program\n\n" + (program.__doc__ or "").splitlines()[0] + "\n\n" + table(FINDING, findings_in(program)),
        "## Before the first epoch\n\nThe objective cannot be imported, prepared or started.\n\n" + before,
    )


def findings_in(module: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, severity, text and fix of the findings that a module's source makes."""
    seen = set()
    tree = ast.parse(inspect.getsource(module))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        local = _assigned(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                given = dict(zip(("name", "severity", "what", "why", "fix"), node.args, strict=False))
                given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                found = [_text(given[key], local) for key in ("name", "severity", "what", "fix") if key in given]
                if len(found) == 4 and tuple(found) not in seen:
                    seen.add(tuple(found))
                    yield code(found[0]), found[1], found[2], found[3]


def _assigned(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return what names of a function are assigned, where that is an expression of its own."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node.value)
    return found


def _text(node: ast.expr, local: dict[str, ast.expr]) -> str:
    """Return a string of the source, with three dots for what is only known when it runs."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, {}) for part in node.values)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body, local)} or {_text(node.orelse, local)}"
    if isinstance(node, ast.Name) and node.id in local:
        return _text(local[node.id], {})
    return "…"


def files() -> str:
    """What the commands write."""
    trial_columns = (GOLDEN / "study.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    curve_columns = (GOLDEN / "curves.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    return page(
        "File formats",
        "## NAME.best.yaml\n\nWritten by `launch`, `confirm` and `studies export`. `studies train --params FILE` and "
        "`studies launch --start-with FILE` read it back. Plain scalars and lists, keys in this order:",
        block("yaml", (GOLDEN / "study.yaml").read_text(encoding="utf-8")),
        "`value` belongs to the epoch `epochs` of the trial `trial`. After `studies confirm`, the file holds the "
        "confirmed winner, and `confirmed` with `value_mean`, `value_sd`, `n_seeds`, `n_contenders` and "
        "`no_different_from`. With `repeats`, `value` is the mean, and `repeated` has `value_sd`, `n_seeds` and "
        "`value_of_trial`, which `studies train` compares with.",
        "## Every trial\n\n`studies export NAME --format FORMAT`, one of "
        + ", ".join(code(kind) for kind in EXPORTERS)
        + ". As CSV or Parquet, a row is a trial:",
        table(["column", "meaning"], _columns(trial_columns)),
        "## Every epoch\n\n`--curves`, with "
        + " or ".join(code(kind) for kind in EXPORTERS if hasattr(exporter_of(kind), "render_curves"))
        + ". A row is an epoch:",
        table(["column", "meaning"], _columns(curve_columns)),
        "## A model's directory\n\nWritten by `studies train`, read by `studies predict`.",
        table(["file", "holds"], [(code(name), meaning) for name, meaning in listed(model.__doc__)]),
    )


def data_sets() -> str:
    """Every data set of the objectives that ship, from what they declare."""
    paths = sorted(of_catalog())
    sections = []
    for path in paths:
        objective = import_objective(path)
        rows = [
            (code(name), about, objective.origins[name].rights if name in objective.origins else "")
            for name, about in objective.datasets.items()
        ]
        sections.append(f"## {path}\n\n" + table(["data set", "what it is", "licence and source"], rows))
    return page(
        "Data sets",
        "`dataset` in a study file, or `--dataset`: one of these names, or the path of a file. `studies data list` "
        "shows which are there, and `studies data fetch NAME` downloads one.",
        *sections,
    )


COLUMNS = {
    "number": "the trial's number in the study",
    "state": "`complete`, `pruned`, `fail`, `running` or `waiting`",
    "reason": "why it failed, see [how a trial ends](trials.md)",
    "detail": "the error's own words",
    "value": "the metric of its best epoch",
    "epoch": "in the list of trials, its best epoch; in the list of epochs, the epoch",
    "n_epochs": "how many epochs it trained",
    "seconds": "how long it took",
    "started": "when it began, in UTC",
    "ended": "when it ended, in UTC",
    "seed": "what everything random in it draws from",
    "start_with": "which entry of the study file's `start_with` it is",
    "continues": "the number of the trial that it continues",
    "continued_by": "the number of the trial that continues it, and counts in its place",
    "peak_memory_mib": "the most memory it took, of the GPU or of the process, in MiB",
    "verdict": "see [verdicts](verdicts.md)",
    "verdict_evidence": "the numbers that the verdict rests on",
    "verdict_advice": "what to try next",
    "contender": "in a confirmation, the trial whose parameters it repeats",
    "params_NAME": "a parameter; a list is written as JSON",
    "metrics_NAME": "a metric of its best epoch",
    "provenance_NAME": "where it ran: commit, whether the checkout had changes, versions, device, host",
    "METRIC": "every metric that the objective reported",
}


def _columns(found: Iterable[str]) -> Iterator[tuple[str, str]]:
    shown = dict.fromkeys(_column(name) for name in found)
    return ((code(name), COLUMNS[name]) for name in shown)


def _column(name: str) -> str:
    for group in ("params_", "metrics_", "provenance_"):
        if name.startswith(group):
            return f"{group}NAME"
    return name if name in COLUMNS else "METRIC"


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "study-file": study_file,
    "variables": variables,
    "errors": error_page,
    "trials": trials,
    "verdicts": verdicts,
    "checks": check_page,
    "files": files,
    "data-sets": data_sets,
}
