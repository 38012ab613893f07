"""A study file for a training script, from what the script says of its options: `studies init train.py`.

usage     its options, read from its --help
hydra     the groups of a config, of which each brings other options
config    the file that it reads its settings from
loops     which of its calls run more than once
source    what its Python code adds: defaults that the help leaves out, the line that it prints
ranges    what to search for an option
draft     the study file that is written for all that
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
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from studies.errors import WrongInput
from studies.run.preload import script_of
from studies.run.source import source_of_command
from studies.spec import catalog
from studies.spec.model import MAX_NAME
from studies.spec.program import CONFIGS
from studies.templates.script import config, hydra
from studies.templates.script.draft import OUR_PYTHON, Script, study_text
from studies.templates.script.objective import objective_in, written
from studies.templates.script.source import Source
from studies.templates.script.usage import Usage, undrawn, usage_of

HELP_S = 60.0  # for a script that imports half of the world first
WIDTH = "200"  # columns: lines that are not broken are read best
BY_HAND = "or write objective.command by hand, as docs/guides/programs.md shows"
TRAINS = re.compile(r"train|fit|run", re.IGNORECASE)
INTERPRETERS = {".sh": "bash", ".R": "Rscript", ".jl": "julia"}
FILE = re.compile(r"\.[A-Za-z]\w*\b")  # such as the `train.R` of a command


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
    script = Script(words, usage, options, read, settings)
    return stem, study_text(stem, script, preload, source.report())


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
