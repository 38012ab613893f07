"""What the source of a Python script says besides its help: defaults that the help leaves out, and what it reports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studies.run.reports import Journal
from studies.templates.script.loops import name_of, repeated
from studies.templates.script.usage import Option, undrawn

NUMBER = r"[-+]?\.?\d(?:[\d.,]*\d)?\.?(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)\b"
PRINTED_NUMBER = re.compile(rf"(?<![\w@.])(?:{NUMBER})(?!\w)")
NO_HOLES = str.maketrans("{}%", "() ")
SHOWN_AS = r"(?:[\w.]+\()?"  # tensor(0.5), np.float64(0.5)
PRINTS = {"print", "pprint", "write", "echo", "secho", "info", "debug", "warning"}
COLOUR = r"(?:bright_)?(?:black|red|green|yellow|blue|magenta|cyan|white)"
STYLE = re.compile(  # of rich, which prints none of it
    rf"\[/?(?:(?:bold|dim|italic|underline|b|i|u|on|{COLOUR})\b ?)+\]|\[/\]"
)
HOLE = re.compile(r"%[-+#.\d]*[a-zA-Z]|\{[^{}]*\}")  # of a printf or a format string
LABEL = re.compile(r"([A-Za-z]\w*(?:[ -][A-Za-z]\w*)?)[^\w]*$")  # the words before a value
SCORE = re.compile(
    r"acc|f1|auc|bleu|rouge|iou|score|recall|precision|r2|loss|error|mse|mae|perplexity|ppl", re.IGNORECASE
)
ROWS = re.compile(r"(?P<train>train)|(?P<test>(?<![a-z])test)|(?P<held_out>val|dev|eval)", re.IGNORECASE)  # of these
RANK = {"train": 0, None: 1, "test": 2, "held_out": 3}  # what a study should judge by, the last one best
READS_OPTIONS = re.compile(r"argv|getopt|(?<![sS])[Pp]ars|\b(click|typer|hydra|fire|absl|docopt|tyro|plac|cli)\b|CLI")
HAS_PARSER = re.compile(r"Parser\b|parse\(|getopt|\b(click|typer|fire|absl|docopt|tyro|plac|cli)\b|CLI")
OVERRIDES = re.compile(r"\bfrom_(cli|dotlist)\(")  # OmegaConf
WRITES = re.compile(r"[wax]")  # the mode of a file
SLOW = (
    "torch",
    "torchvision",
    "lightning",
    "pytorch_lightning",
    "sklearn",
)  # seconds to import, and safe to fork after
LESS_IS_BETTER = re.compile(r"loss|error|mse|mae|perplexity|ppl|wer|cer|fid", re.IGNORECASE)


@dataclass(frozen=True)
class Library:
    """One whose training reports through a callback of `studies.program_callbacks`.

    callback: what makes it. calls: which of them takes it. metric: what the library has without being asked.
    needs: what else it takes to have a metric after each epoch.
    """

    callback: str
    calls: re.Pattern[str]
    metric: str
    needs: str = ""

    def given_to(self, call: str) -> str:
        """Return the callback as an argument of a call, as it is typed."""
        given = f"callbacks=[program_callbacks.{self.callback}()]"
        given = f"trainer_defaults=dict({given})" if call.endswith("CLI") else given
        return f"{call}(..., {given}){self.needs}"


LIGHTNING = Library("lightning", re.compile("Trainer|LightningCLI"), "val_loss")
TRANSFORMERS = Library(
    "transformers", re.compile(r"\w*Trainer"), "eval_loss", ", and its arguments eval_strategy='epoch'"
)
KERAS = Library("keras", re.compile("fit"), "val_loss")
LIBRARIES = {  # by what is imported
    "lightning": LIGHTNING,
    "pytorch_lightning": LIGHTNING,
    "transformers": TRANSFORMERS,
    "keras": KERAS,
    "tensorflow": KERAS,
}


@dataclass(frozen=True)
class Report:
    """How a script reports: by `studies.program` where there is no pattern. metric: what of it may be tuned.

    missing: the call of a library with the callback that is to report, where the script does not have it yet. is_once:
    nothing repeats it, so that it is printed once, as at the end.
    """

    metric: str
    pattern: str | None = None
    missing: str | None = None
    is_once: bool = False

    @property
    def direction(self) -> str:
        """Whether more or less of it is better, by its name."""
        return "minimize" if LESS_IS_BETTER.search(self.metric) else "maximize"

    @property
    def is_of_test_rows(self) -> bool:
        """Whether its name says so: what chooses by them says too much good of what was chosen."""
        rows = _rows(self.metric)
        return rows is not None and rows.lastgroup == "test"


class Source:
    """The code of these files; what is no Python says nothing."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._calls: list[ast.Call] = []
        self._fields: dict[str, dict[str, ast.expr]] = {}
        self._imported: set[str] = set()
        self._constants: list[str] = []
        trees: list[ast.Module] = []
        self.may_have_options = True  # where nothing is known of it
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.suffix == ".py"]
        if texts:
            self.may_have_options = any(READS_OPTIONS.search(text) for text in texts)
        self.has_parser = any(HAS_PARSER.search(text) for text in texts)
        self.takes_overrides = any(OVERRIDES.search(text) for text in texts)
        self._has_callback = any("program_callbacks" in text for text in texts)
        for text in texts:
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError):
                continue
            named = _named_texts(tree)
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                call.args = [named.get(arg.id, arg) if isinstance(arg, ast.Name) else arg for arg in call.args]
                self._calls.append(call)
            self._fields.update(_fields(tree))
            trees.append(tree)
            self._imported.update(_imported(tree))
            self._constants += _read_texts(tree)
        self._repeated = repeated(trees)

    def constants(self, endings: tuple[str, ...]) -> list[str]:
        """Return the texts in it that end so, but for the names of files that it writes; hydra reads its own."""
        return [] if "hydra" in self._imported else [text for text in self._constants if text.endswith(endings)]

    def completed(self, option: Option) -> Option:
        """Return an option with the default and the kind that the call or the field has which declares it."""
        for call in self._calls:
            names = {arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
            # click writes `--shuffle/--no-shuffle`, absl a name without dashes.
            names = {part.strip() for name in names for part in name.split("/")}
            if option.flag in names and option.flag.startswith("-"):
                return _with(option, {word.arg: word.value for word in call.keywords if word.arg})
        return _with(option, self._fields.get(option.name, {}))

    def read(self) -> list[Option]:
        """Return what it takes out of `program.params` with a default, `params.get("lr", 1e-3)`."""
        found: dict[str, Option] = {}
        for call in sorted(self._calls, key=lambda call: call.lineno):
            match call:
                case ast.Call(ast.Attribute(of, "get"), [ast.Constant(str(name)), *default]) if _is_params(of):
                    value = _literal(default[0] if default else None)
                    found[name] = Option(name, takes=0 if isinstance(value, bool) else 1, default=value)
        return list(found.values())

    def slow_imports(self) -> list[str]:
        """Return the libraries that it imports wherever it starts, and that take seconds."""
        return [name for name in SLOW if name in self._imported]

    def report(self) -> Report | None:
        """Return what it reports or prints and looks like a metric, of validation data where it says so."""
        for call in self._calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "report":
                names = [word.arg for word in call.keywords if word.arg]
                if names:
                    return Report(max(names, key=_worth))
        logged = [name for call in self._calls if (name := _logged(call))]
        found = [
            replace(report, is_once=id(call) not in self._repeated)
            for call in self._calls
            if not _logged(call)
            for report in _printed(call)
        ]
        printed = max(
            found, key=lambda one: (_worth(one.metric), not one.is_once, "epoch" in (one.pattern or "")), default=None
        )
        if printed and "epoch" in (printed.pattern or "") and not printed.is_once:
            return printed
        for library in (LIBRARIES[name] for name in LIBRARIES if name in self._imported):
            started = (name for call in self._calls if library.calls.fullmatch(name := name_of(call.func)))
            if name := next(started, None):
                metric = max(logged, key=_worth, default=library.metric)
                return Report(metric, missing=None if self._has_callback else library.given_to(name))
        return printed


def report_in(lines: Sequence[str]) -> Report | None:
    """Return what lines that a program has printed look like to report, by the same rules as what it is to print."""
    found: list[Report] = []
    for line in lines:
        template = PRINTED_NUMBER.sub("{}", line.translate(NO_HOLES))
        for report in _printed(ast.Call(ast.Name("print"), [ast.Constant(template)], [])):
            if _counts(report, lines):
                found.append(report)
    return max(found, key=lambda one: (_worth(one.metric), "epoch" in (one.pattern or "")), default=None)


def _counts(report: Report, lines: Sequence[str]) -> bool:
    """Whether its pattern finds numbers in these lines, and of no epoch two: those would be of its batches."""
    journal = Journal([report.metric])
    found = [matched.groupdict() for line in lines if (matched := re.search(report.pattern or "", line))]
    epochs = [epoch for each in found if (epoch := journal.add(each)) is not None]
    return bool(epochs) and not journal.again


def _logged(call: ast.Call) -> str | None:
    """Return the name that `self.log("val_loss", loss)` of Lightning has, which prints nothing."""
    match call:
        case ast.Call(ast.Attribute(attr="log"), [ast.Constant(str(name)), _, *_]) if not HOLE.search(name):
            return name
    return None


def _named_texts(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the texts with values in them that have a name: `message = f"loss {loss}"`."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], value) if HOLE.search(_template(value) or ""):
                found[name] = value
    return found


def _read_texts(tree: ast.Module) -> list[str]:
    """Return the texts of a module without the names of files that it opens for writing."""
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    written: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func, [ast.Constant(str(name)), ast.Constant(str(mode)), *_]) if name_of(func) == "open":
                written |= {name} if WRITES.search(mode) else set()
            case ast.Call(ast.Attribute(ast.Call(_, [ast.Constant(str(name))]), "write_text")):
                written.add(name)
    return [text for text in dict.fromkeys(texts) if text not in written]


def _fields(tree: ast.Module) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Yield the fields of classes, as `lr: float = 1e-3` and `field(default=2)`, with what `add_argument` would get."""
    for each in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in each.body:
            match node:
                case ast.AnnAssign(ast.Name(name), kind, ast.Call(keywords=given)):
                    yield name, {"type": kind} | {word.arg: word.value for word in given if word.arg == "default"}
                case ast.AnnAssign(ast.Name(name), kind, ast.expr() as default):
                    yield name, {"type": kind, "default": default}


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the libraries that a module imports in its outermost lines."""
    for node in tree.body:
        match node:
            case ast.Import(names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(str(module), level=0):
                yield module.partition(".")[0]


def _with(option: Option, keywords: Mapping[str, ast.expr]) -> Option:
    """Return the option with what its help has not told."""
    kind = keywords.get("type")
    named = {"float": float, "int": int}.get(kind.id) if isinstance(kind, ast.Name) else None
    told = option if option.default is not None else replace(option, default=_literal(keywords.get("default")))
    if told.takes and isinstance(told.default, bool):
        told = replace(told, default=str(told.default))
    if not told.choices and told.takes and isinstance(listed := _literal(keywords.get("choices")), (list, tuple)):
        told = replace(told, choices=tuple(listed))
    return replace(told, kind=told.kind or named)


def _is_params(node: ast.expr) -> bool:
    return "params" in (getattr(node, "attr", ""), getattr(node, "id", ""))  # program.params, or imported from there


def _literal(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None


def _rows(text: str) -> re.Match[str] | None:
    """Return where a text says which rows a value after it is of: the last such word."""
    return max(ROWS.finditer(text), key=re.Match.start, default=None)


def _worth(name: str) -> int:
    rows = _rows(name)
    return 2 * RANK[rows and rows.lastgroup] + bool(SCORE.search(name))


def _printed(call: ast.Call) -> Iterator[Report]:
    """Yield the metrics in what a call prints, each with a pattern that finds it in its line."""
    arguments = [arg for arg in call.args if name_of(call.func) in PRINTS or not isinstance(arg, ast.Dict)]
    pieces = [*_pieces(arguments), ""]
    text, places = "", dict[int, str]()  # what stands before a value; patterns of the line, by where each begins
    for before in pieces[:-1]:
        text += f"{{}}{before}"
        found = LABEL.search(text)
        if found is None:
            continue
        *_, label = found[1].split()
        if "epoch" not in label.lower() and (SCORE.search(found[1]) or _rows(found[1])):
            label = found[1]
        name, rows = re.sub(r"\W+", "_", label).lower(), _rows(text)
        if "epoch" in name:
            places[text.rindex(label)] = rf"{re.escape(label)}\W*(?P<epoch>\d+).*?"
        elif SCORE.search(name):
            of = {} if rows is None or _rows(name) else {rows.start(): rf"{rows[0]}.*?"}
            name = "_".join([*(rows[0].lower() for _ in of if rows), name])
            start = "".join(place for at, place in sorted((places | of).items()) if at > text.rfind("\n"))
            yield Report(name, rf"{start}\b{label}\W*?{SHOWN_AS}(?P<{name}>{NUMBER})")


def _pieces(arguments: list[ast.expr]) -> Iterator[str]:
    """Yield the text before each value of what is printed."""
    text = ""
    for argument in arguments:
        template = _template(argument)
        if template is None:
            yield text
            text = ""
        else:
            *before, text = HOLE.split(f"{text} {template}".lstrip())
            yield from before
        text = text.lstrip()


def _as_printed(text: str) -> str:
    return STYLE.sub("", undrawn(text))


def _template(node: ast.expr) -> str | None:
    """Return a text with `{}` where values go; None for what is a value itself."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _as_printed(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return _as_printed("".join(str(part) for part in parts))
    match node:
        case ast.BinOp(left, ast.Mod()):
            return _template(left)
        case ast.BinOp(left, ast.Add(), right) if (both := [_template(left), _template(right)]) != [None, None]:
            return "".join("{}" if text is None else text for text in both)
        case ast.Dict(keys):
            return ", ".join(f"{ast.unparse(key)}: {{}}" for key in keys if isinstance(key, ast.Constant))
        case ast.Call(ast.Attribute(attr="dumps"), [ast.Dict() as shown, *_]):
            return _template(shown)
        case ast.Call(ast.Attribute(text, "format")):
            return _template(text)
    return None
