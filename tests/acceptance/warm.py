"""Commands without the seconds that Python takes to import what they need: forks of one process that has imported it.

Each is `studies.cli.main()` in a process of its own, with its arguments, directory, environment, input and output. For
commands whose answer is tested, and not how they start or are killed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = (
    "numpy", "optuna", "torch", "studies.cli", "studies.check", "studies.model.predict", "studies.model.train",
    "studies.record.reading", "studies.templates.script",
)  # fmt: skip


def run(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command; return its exit code and what it said."""
    process = _started()
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("stdin", "stdout", "stderr")]
        files[0].write_bytes(stdin)
        asked = {"arguments": arguments, "directory": str(directory), "environment": dict(environment)}
        process.stdin.write(json.dumps(asked | {"files": list(map(str, files))}) + "\n")
        process.stdin.flush()
        code = process.stdout.readline()
        assert code, "the process that commands are forked from has ended"
        return subprocess.CompletedProcess(arguments, int(code), files[1].read_bytes(), files[2].read_bytes())


@cache
def _started() -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    process = subprocess.Popen(
        # Without numpy's threads, which a fork would not have.
        [sys.executable, "-W", "error", __file__], env=environment | {"OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def _serve() -> None:
    """Run each command that is asked for, one after the other, until nobody asks any more."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # what is here stays shared with the forks: the collector does not write into it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(arguments: list[str], directory: str, environment: dict[str, str], files: list[str]) -> NoReturn:
    """Be the command, and end with it."""
    from studies.cli import main

    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = ["studies", *arguments], directory
    for descriptor, file in enumerate(files):
        os.dup2(os.open(file, os.O_CREAT | (os.O_WRONLY if descriptor else os.O_RDONLY), 0o600), descriptor)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - the one before it has read ahead
    code: Any = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)  # without taking torch apart, which takes longer than most commands


if __name__ == "__main__":
    _serve()
