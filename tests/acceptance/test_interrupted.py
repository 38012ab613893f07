"""Ctrl-C in a command that runs no trials: one sentence, exit code 130, and no file half-written."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..waiting import PATIENCE_S, hear
from .conftest import COMMAND

SAID = "studies: The command was interrupted, and no file is half-written; type the same to run it again.\n"

# The real command, and a person who presses Ctrl-C where it calls, or has called, one of its functions.
PRESSED = """
import importlib, os, signal, sys, time

module, function, when, *arguments = sys.argv[1:]
called = importlib.import_module(module)
given = getattr(called, function)

def pressed(*args, **options):
    if when == "after":
        given(*args, **options)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

setattr(called, function, pressed)
sys.argv = ["studies", *arguments]
from studies.__main__ import main
main()
"""


@pytest.mark.parametrize("arguments", [
    ["studies.tables", "catalog", "before", "list"],
    ["studies.tables", "status", "before", "status"],
    ["studies.storage", "open_storage", "before", "report", "parabola"],
    ["studies.storage", "open_storage", "before", "watch", "parabola"],
    ["studies.data.sets", "survey", "before", "data", "list"],
    ["studies.templates", "write_whole", "after", "init", "first"],
    ["studies.spec", "load", "before", "stop", "first.yaml"],
])  # fmt: skip
def test_one_sentence_says_so_and_nothing_is_left(tmp_path: Path, arguments: list[str]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    ended = run(place, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", SAID)
    assert not list(place.iterdir())


def test_it_is_said_while_all_is_imported(tmp_path: Path) -> None:
    ended = run(tmp_path, "importlib", "import_module", "before", "list")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", SAID)


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PRESSED, *arguments]
    environment = os.environ | {"STUDIES_HOME": str(place.parent / "home")}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)


def test_it_is_said_where_a_command_asks(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "dashboard", "user", "add", "ann", "--role", "viewer"], cwd=tmp_path, text=True,
        env=os.environ | {"STUDIES_HOME": str(tmp_path)}, start_new_session=True,
        stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        os.close(slave)
        hear(asking, "Password")
        asking.send_signal(signal.SIGINT)
        _, stderr = asking.communicate(timeout=PATIENCE_S)
    os.close(master)
    assert asking.returncode == 130
    assert stderr.splitlines(keepends=True)[-1] == SAID
