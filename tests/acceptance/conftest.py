"""The real command, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

from ..waiting import PATIENCE_S, wait_for
from . import noisy, warm

# An objective of a user's own, quick and exact: 5 epochs of `seconds` each, its value known from its parameters.
USERS_MODULE = """
import time
from pathlib import Path

class Training:
    def __init__(self, params, seed):
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        time.sleep(0 if Path("quick").exists() else self.params["seconds"])
        if self.params["mood"] == "raises":
            raise RuntimeError("the objective broke")
        loss = float("nan") if self.params["mood"] == "nan" else (self.params["x"] - 2) ** 2 + 1 / self.n
        return {"loss": loss, "train_loss": loss}

    def evidence(self):
        return {"epoch": self.n}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Parabola:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "x": {"low": -10.0, "high": 10.0, "default": 0.0},
        "mood": {"choices": ["fine", "nan", "raises"], "default": "fine"},
        "seconds": {"low": 0.0, "high": 60.0, "default": 0.0},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params, seed)

def plain(trial):
    return (trial.suggest_float("x", -1, 1)) ** 2
"""

STUDY = """
name: parabola
objective: mine:Parabola
dataset: none
metric: loss
direction: minimize
n_trials: 8
max_epochs: 5
space: {mood: fine, seconds: 0.0}
pruner: {name: none}
"""


COMMAND = [sys.executable, "-W", "error", "-m", "studies"]


class Studies:
    """`studies` in a working directory of its own, with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []
        self.command = COMMAND
        self.server_files: Path | None = None  # of a server that has never been used; without, a launch makes them
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
        self.environment |= {"STUDIES_HOME": str(directory / "home"), "COLUMNS": "200"}
        (directory / "mine.py").write_text(USERS_MODULE)
        (directory / "parabola.yaml").write_text(STUDY)

    def hurry(self) -> None:
        """Let epochs take no time from now on: slow ones are for what has to happen in the middle of a trial."""
        (self.directory / "quick").touch()

    def be_heard_elsewhere(self, module: str) -> None:
        """Let `hurry` reach workers with other working directories, too."""
        file = self.directory / module
        file.write_text(file.read_text().replace('Path("quick")', f'Path("{self.directory / "quick"}")'))

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    def start(self, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the command. before: another that it is given to, such as `unshare`."""
        if arguments[0] == "launch":
            self._lay_out_server()
        process = subprocess.Popen(
            [*before, *self.command, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def _lay_out_server(self) -> None:
        """Save `initdb` and its seconds of writing, where a launch would be the first of a home."""
        home = self.directory / "home"
        if self.server_files is not None and not home.exists() and "STUDIES_STORAGE" not in self.environment:
            server = EmbeddedServer(Settings(None, home, home / "data"))
            server._account.make_directory(server.place)
            subprocess.run(["cp", "-a", str(self.server_files), str(server.data)], check=True)

    def end(self) -> None:
        """End what a failed test left behind, so that it fails alone."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def __call__(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == expect, f"studies {' '.join(arguments)}: {process.returncode}\n{stdout}\n{stderr}"
        assert "Traceback" not in stderr
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def told(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """The same, without the start of Python: for what a command says."""
        if self.command != COMMAND:
            return self(*arguments, expect=expect)
        done = warm.run(arguments, self.directory, self.environment)
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == expect, f"studies {' '.join(arguments)}: {done.returncode}\n{stdout}\n{stderr}"
        assert "Traceback" not in stderr
        return subprocess.CompletedProcess(arguments, expect, stdout, stderr)


@pytest.fixture
def make_studies(reachable_directory: Path) -> Iterator[Callable[[str], Studies]]:
    """Make `Studies` in a directory with the given name; its embedded server is down in the end."""
    made: list[Studies] = []

    def make(name: str) -> Studies:
        parent = Path(tempfile.mkdtemp(dir=reachable_directory))
        parent.chmod(0o755)
        directory = parent / name
        directory.mkdir()
        made.append(Studies(directory))
        return made[-1]

    yield make
    for studies in made:
        studies.end()
        if (studies.directory / "home" / "postgres").exists():
            wait_for(EmbeddedServer(studies.settings).down)  # what runs in the background may be about to leave


@pytest.fixture
def studies(make_studies: Callable[[str], Studies], server_files: Path) -> Studies:
    made = make_studies("plain")
    made.server_files = server_files
    return made


@pytest.fixture
def noisy_studies(studies: Studies) -> Studies:
    """`studies` with the noisy objective, and a study of it."""
    (studies.directory / "noisy.py").write_text(noisy.MODULE)
    (studies.directory / "noisy.yaml").write_text(noisy.STUDY)
    studies("storage", "up")  # and not once for each command
    return studies
