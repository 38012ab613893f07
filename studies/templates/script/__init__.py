"""A study file for a training script, from what the script says of its options: `studies init train.py`.

usage     its options, read from its --help
hydra     the groups of a config, of which each brings other options
config    the file that it reads its settings from
loops     which of its calls run more than once
source    what its Python code adds: defaults that the help leaves out, the line that it prints
ranges    what to search for an option
objective an Optuna objective in a script, which is launched in place of the script
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from studies.errors import WrongInput
from studies.run.preload import script_of
from studies.run.source import INTERPRETER, source_of_command
from studies.spec import catalog
from studies.spec.model import MAX_NAME
from studies.spec.program import CONFIGS
from studies.templates.script import config, hydra
from studies.templates.script.config import Settings
from studies.templates.script.objective import objective_in, written
from studies.templates.script.ranges import searched
from studies.templates.script.source import Report, Source
from studies.templates.script.usage import Option, Usage, undrawn, usage_of

HELP_S = 60.0  # for a script that imports half of the world first
WIDTH = "200"  # columns: lines that are not broken are read best
BY_HAND = "or write objective.command by hand, as docs/guides/programs.md shows"
NOTHING_TO_SEARCH = (
    "# CORRECT THIS: nothing looks like a setting to search. If the script reads a config file, name it: studies init\n"
    '# "python train.py --config FILE". Otherwise see "A script without options", docs/guides/programs.md'
)
TRAINS = re.compile(r"train|fit|run", re.IGNORECASE)
INTERPRETERS = {".sh": "bash", ".R": "Rscript", ".jl": "julia"}
LINE = 100  # characters of the command
EPOCHS = {"epochs", "nepochs", "maxepochs", "numepochs", "nepoch", "epoch"}
SEEDS = {"seed", "seedeverything", "randomstate"}
KEPT = {"checkpoint", "checkpoints", "ckpt", "save", "output", "out", "model"}  # with `dir`: where models are written
FILE = re.compile(r"\.[A-Za-z]\w*\b")  # such as the `train.R` of a command
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


def is_script(given: str) -> bool:
    """Whether `studies init` was given a script or a command, and no name."""
    first, _, more = given.strip().partition(" ")
    is_command = bool(more) and (shutil.which(first) is not None or FILE.search(more) is not None)
    return first.endswith((".py", ".sh", ".ipynb")) or "/" in first or is_command or _is_file(given)


def _is_file(given: str) -> bool:
    with suppress(OSError, ValueError):  # too long for a name, such as a command may be
        return Path(given).is_file()
    return False


def study_file(given: str) -> tuple[str, str]:
    """Return the name and the text of a study file for a script or command, which is asked for its help.

    A script with an Optuna objective is not asked: its function is what is tuned. Raises WrongInput where it cannot be
    started, says nothing of options, or wants a command of its own first.
    """
    words = _command(given)
    file = Path(words[-1])
    if len(words) == 2 and (found := objective_in(file)) is not None:
        return (stem := _name_for(file)), written(stem, file, found)
    files = [*source_of_command(tuple(words), Path.cwd())] or [word for word in words if Path(word).is_file()]
    source = Source(map(Path, files))
    usage, read = Usage([], [], []), source.read()
    typed = config.typed_in(words)
    settings = typed or config.opened_by(source, [Path(), *(Path(word).parent for word in words if word in files)])
    if source.may_have_options and (settings is None or source.has_parser):
        words, usage = _asked(words)
    elif not read and settings is None:  # asked for its help, it would train
        raise WrongInput(
            reason=f"{given} reads no options from its command line; add some with argparse, or take its settings out "
            f"of the trial's: `program.params.get('lr', 1e-3)`, after `from studies import program`; {BY_HAND}."
        )
    flags = {word.partition("=")[0] for word in words}
    options = [source.completed(option) for option in usage.options if not option.flags & flags]
    settings = typed or config.taken_by(options) or settings
    if settings is not None:
        settings, options = settings.beside(options)
    stem = _name_for(_script_in(words))
    preload = source.slow_imports() if script_of(words) else []
    script = _Script(words, usage, options, read, settings)
    return stem, _written(stem, script, preload, source.report())


def _script_in(words: list[str]) -> Path:
    """Return the file of the script; of a module, one that is named as it is."""
    module, _ = script_of(words) or (None, [])
    if module is not None:
        return Path(module.removesuffix(".__main__").rpartition(".")[2])
    return Path(next((word for word in words[1:] if not word.startswith("-")), words[0]))


def _name_for(script: Path) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", script.stem.lower())[: MAX_NAME - 3].strip("-") or "program"
    return f"my-{stem}" if stem in catalog() else stem


def _command(given: str) -> list[str]:
    try:
        words = [given] if _is_file(given) else shlex.split(given)  # its name may have a space
    except ValueError as error:
        raise WrongInput(reason=f"{given!r} is no command ({error}); expected such as train.py.") from None
    if words[0].endswith(".ipynb"):
        raise WrongInput(
            reason=f"{words[0]} is a notebook; save it as a script (`jupyter nbconvert --to script {words[0]}`), or "
            "launch a function from one of its cells, as docs/guides/from-python.md shows."
        )
    if len(words) == 1 and not Path(words[0]).is_file():
        raise WrongInput(
            reason=f"There is no file {words[0]}; expected a training script, such as train.py, or a name."
        )
    if words[0].endswith(".py"):
        return ["python" if shutil.which("python") else "python3", *words]
    if (interpreter := INTERPRETERS.get(Path(words[0]).suffix)) is not None:
        return [interpreter, *words]
    if words[0].endswith(CONFIGS) and Path(words[0]).is_file():
        raise WrongInput(
            reason=f"{words[0]} is no script; expected one that reads it, as in `studies init 'train.py {words[0]}'`. "
            f"If it is a study file, type `studies check ./{words[0]}`."
        )
    return words


def _asked(words: list[str]) -> tuple[list[str], Usage]:
    """Return the command and what it says of its options.

    Where it needs what is installed beside `studies` alone, its Python is the one that runs `studies`.
    """
    try:
        return words, _usage(words)
    except WrongInput:
        if words[0] not in ("python", "python3"):
            raise
        with suppress(WrongInput):
            return [OUR_PYTHON, *words[1:]], _usage([sys.executable, *words[1:]])
        raise


def _usage(words: list[str]) -> Usage:
    """Return what the command says of its options. Raises WrongInput where it says nothing of them."""
    shown, printed = shlex.join([*words, "--help"]), _printed(words)
    usage = usage_of(printed)
    if "== Config ==" in printed:
        return replace(usage, options=hydra.options_of(printed, lambda override: _printed([*words, override])))
    if usage.commands:
        trains = next((name for name in usage.commands if TRAINS.search(name)), usage.commands[0])
        some = shlex.join([*words[words[0].startswith("python") :], trains])
        raise WrongInput(
            reason=f"`{shown}` lists commands ({', '.join(usage.commands)}); type one, such as `studies init '{some}'`."
        )
    if not usage.options:
        last = next((line for line in reversed(undrawn(printed).splitlines()) if line.strip()), "nothing").strip()
        some = shlex.join(words[words[0].startswith("python") :])
        raise WrongInput(
            reason=f"`{shown}` shows no options, its last line is: {last[:200]}; correct it, give it its config file "
            f"(`studies init '{some} config.yaml'`), {BY_HAND}."
        )
    return usage


def _printed(words: list[str]) -> str:
    """Return what the command prints when it is asked for help."""
    shown = shlex.join([*words, "--help"])
    surroundings = {
        "COLUMNS": WIDTH,
        "TERMINAL_WIDTH": WIDTH,
        "NO_COLOR": "1",
        "TERM": "dumb",
        "CUDA_VISIBLE_DEVICES": "",
    }
    try:
        process = subprocess.Popen(
            [*words, "--help"],
            env=os.environ | surroundings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise WrongInput(reason=f"`{shown}` could not be started ({error.strerror}); correct it, {BY_HAND}.") from None
    with process:
        try:
            return process.communicate(timeout=HELP_S)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise WrongInput(
                reason=f"`{shown}` ran for {HELP_S:.0f} s, as if it knew no --help; add one, {BY_HAND}."
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class _Script:
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
    is_once: the script reports once, however long it trains.
    """

    command: list[str]
    space: dict[str, Any]
    left: list[str] = field(default_factory=list)
    set: dict[str, str] = field(default_factory=dict)
    epochs: int = 10
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
        if placeholder == "max_epochs" and isinstance(option.default, (int, float)) and option.default >= 1:
            self.epochs = int(option.default)


def _written(name: str, script: _Script, preload: list[str], report: Report | None) -> str:
    """Return the study file."""
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
        "max_epochs: 1  # it prints that line once" if draft.is_once else f"max_epochs: {draft.epochs}",
        *(["space:"] if space else [NOTHING_TO_SEARCH, "space: {}"]),
        *(f"  {name}: {_flow(domain)}" for name, domain in space.items()),
        *(["# Left at what the program has:", *(f"#   {one}" for one in draft.left)] if draft.left else []),
    ]
    return "\n".join(lines) + "\n"


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
