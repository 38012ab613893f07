"""The study file that is written for a script: what becomes of its options and of its config file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from studies.run.source import INTERPRETER
from studies.templates.script import config
from studies.templates.script.config import Settings
from studies.templates.script.ranges import searched
from studies.templates.script.source import Report
from studies.templates.script.usage import Option, Usage

NOTHING_TO_SEARCH = (
    "# CORRECT THIS: nothing looks like a setting to search. If the script reads a config file, name it: studies init\n"
    '# "python train.py --config FILE". Otherwise see "A script without options", docs/guides/programs.md'
)
LINE = 100  # characters of the command
EPOCHS = {"epochs", "nepochs", "maxepochs", "numepochs", "nepoch", "epoch"}
SEEDS = {"seed", "seedeverything", "randomstate"}
KEPT = {"checkpoint", "checkpoints", "ckpt", "save", "output", "out", "model"}  # with `dir`: where models are written
OUR_PYTHON = "{python}"
ADD_THE_CALLBACK = (
    "  # CORRECT THIS: the script reports no epoch yet. `from studies import program_callbacks`, and give it"
)
CORRECT_THE_PATTERN = (
    "CORRECT THIS: a line that it prints, one an epoch, or a table that it writes; studies check may say what to write"
)
OF_TEST_ROWS = "  # what is chosen by it looks better than it is: print one of validation rows, and name that"
BY_LINKS = ", in a directory of links to all that is here"
EXAMPLE = Report("val_acc", r"epoch (?P<epoch>\d+).*val_acc (?P<val_acc>[\d.]+)")


@dataclass(frozen=True)
class Script:
    """What is known of a script.

    words: how it is started. options: those of its usage that are not typed yet. read: what it takes from the trial
    itself. settings: its config file.
    """

    words: list[str]
    usage: Usage
    options: list[Option]
    read: list[Option]
    settings: Settings | None

    @property
    def arguments(self) -> list[str]:
        """What stands without a flag and is not typed yet."""
        no_value = {"-m", *(flag for option in self.usage.options if option.takes == 0 for flag in option.flags)}
        pairs = zip(self.words, self.words[1:], strict=False)
        typed = [word for before, word in pairs if word[0] != "-" and (before[0] != "-" or before in no_value)]
        typed = typed[1:] if INTERPRETER.fullmatch(Path(self.words[0]).name) else typed  # the script
        names = {part for word in self.words for part in (word, *Path(word).name.split())}  # `my train.py` is two words
        left = [word for word in self.usage.arguments if word not in names]  # a subcommand is typed already
        return left[len([word for word in typed if word not in self.usage.arguments]) :]


@dataclass
class _Draft:
    """What becomes of the options.

    command: its words. space: what is searched. left: what stays at its default. set: of a config file, the trial's.
    epochs: how many the script trains. are_epochs_told: it gets the number. is_once: it reports once, whatever that is.
    """

    command: list[str]
    space: dict[str, Any]
    left: list[str] = field(default_factory=list)
    set: dict[str, str] = field(default_factory=dict)
    epochs: int = 10
    are_epochs_told: bool = False
    is_once: bool = False

    def place(self, option: Option) -> None:
        """Type an option in the command, with its placeholder or for a value to be written there; or leave it out."""
        if (placeholder := self._of_trial(option)) is not None:
            self.command.append(_placed(option, placeholder))
            self._count(option, placeholder)
        elif (domain := searched(option)) is not None:
            self.space[option.name] = domain
            self.command.append(_placed(option, option.name))
        elif option.required:
            self.command.append(_placed(option, None))
        else:
            has_value = option.default is not None and option.takes <= 1
            self.left.append(f"{option.flag} {option.default}" if has_value else option.flag)

    def place_in_file(self, option: Option) -> None:
        """Have a value of a config file searched or set in each trial's copy; or leave it out."""
        if (placeholder := self._of_trial(option)) is not None:
            self.set[option.flag] = f"{{{placeholder}}}"
            self._count(option, placeholder)
        elif (domain := searched(option)) is not None:
            self.space[option.flag] = domain
        else:
            self.left.append(f"{option.flag}: {option.default}")

    def _of_trial(self, option: Option) -> str | None:
        placeholder = _of_trial(option)
        return None if placeholder == "max_epochs" and self.is_once else placeholder

    def _count(self, option: Option, placeholder: str) -> None:
        self.are_epochs_told |= placeholder == "max_epochs"
        if placeholder == "max_epochs" and isinstance(option.default, (int, float)) and option.default >= 1:
            self.epochs = int(option.default)


def study_text(name: str, script: Script, preload: list[str], report: Report | None) -> str:
    """Return the study file. preload: what the script imports slowly. report: what it prints."""
    settings, options = script.settings, script.options
    space: dict[str, Any] = {each.name: domain for each in script.read if (domain := searched(each)) is not None}
    words = config.filled(script.words, settings) if settings else script.words
    kept = (OUR_PYTHON, config.PLACEHOLDER)
    draft = _Draft([word if word.endswith(kept) else _quoted(word) for word in words], space)
    draft.is_once = report is not None and report.is_once
    for option in options:
        if settings and option.flag == settings.option:
            draft.command.append(f"{option.flag} {config.PLACEHOLDER}")
        else:
            draft.place(option)
    if any(not option.flag.startswith("-") for option in options):  # hydra's directories are named by the second
        draft.command.append("hydra.run.dir={scratch}/hydra")
    for option in settings.options if settings else ():
        draft.place(option) if settings and settings.are_typed else draft.place_in_file(option)
    arguments = [word.upper() for word in script.arguments]
    placed = settings and settings.option
    needed = [one.flag for one in options if one.required and _of_trial(one) is None and one.flag != placed]
    asked = [word.strip("{}") if word == OUR_PYTHON else word for word in script.words] + ["--help"] * bool(options)
    file = f" and {settings.file}" if settings else ""
    lines = [f"# From `{shlex.join(asked)}`{file}. Correct it, then type: studies check ./{name}.yaml"]
    lines += [f"name: {name}", "objective:", "  command: >-", *_folded([*draft.command, *arguments])]
    if needed or arguments:
        lines.append(f"  # Give these in the command: {', '.join([*needed, *arguments])}")
    if settings and not settings.are_typed:
        where = "" if placed or script.words != words else BY_LINKS
        lines.append(f"  # Each trial reads a copy of it with its parameters{where}.")
        lines.append(f"  config: {_flow({'file': settings.file, 'set': draft.set})}")
    if preload:
        lines.append(f"  preload: {_flow(preload)}  # imported once a worker, and not in every trial")
    lines += [
        *_of_report(report),
        "n_trials: 30",
        _of_epochs(draft),
        *(["space:"] if space else [NOTHING_TO_SEARCH, "space: {}"]),
        *(f"  {name}: {_flow(domain)}" for name, domain in space.items()),
        *(["# Left at what the program has:", *(f"#   {one}" for one in draft.left)] if draft.left else []),
    ]
    return "\n".join(lines) + "\n"


def _of_epochs(draft: _Draft) -> str:
    if draft.is_once:
        return "max_epochs: 1  # it prints that line once"
    told = "" if draft.are_epochs_told else "  # CORRECT THIS: how many it trains, or reports; no option says it"
    return f"max_epochs: {draft.epochs}{told}"


def _of_report(report: Report | None) -> Iterator[str]:
    """Yield how it reports, and by what metric; where nothing was found, an example."""
    found = report or EXAMPLE
    if found.missing:
        yield from (ADD_THE_CALLBACK, f"  #   {found.missing}")
    if found.pattern is not None:
        why = "a line that it prints" if report else CORRECT_THE_PATTERN
        yield from (f"  # {why}", f"  reports: {_flow({'pattern': found.pattern})}")
    remark = "  # a name that the pattern gives" if not report else OF_TEST_ROWS if report.is_of_test_rows else ""
    yield f"metric: {found.metric}{remark}"
    yield f"direction: {found.direction}"


def _of_trial(option: Option) -> str | None:
    """Return the placeholder for what every trial has: its seed, how long it trains, where its checkpoints are."""
    words = option.words
    joined = "".join(words[-2:])
    if option.takes != 1:
        return None
    if joined in SEEDS or words[-1] == "seed":
        return "seed"
    if words[-1] in EPOCHS and not {"min", "warmup", "patience", "decay", "start", "per", "every"} & {*words}:
        return "max_epochs"
    return "checkpoints" if words[-1] in ("dir", "directory") and KEPT & {*words} else None


def _placed(option: Option, name: str | None) -> str:
    """Return the words of an option in the command. name: of its placeholder; None for a value to be written there."""
    if option.takes == 0:
        return f"{option.flag}{f'/{option.off}' if option.off else ''}{{{name}:flag}}"
    value = option.name.upper() if name is None else f"{{{name}}}"
    return f"{option.flag} {value}" if option.flag.startswith("-") else f"{option.flag}={value}"


def _quoted(word: str) -> str:
    return shlex.quote(word).replace("{", "{{").replace("}", "}}") if "{" in word else shlex.quote(word)


def _folded(words: list[str]) -> list[str]:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"    {line}" for line in lines]


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True).strip()
