"""What a launch begins before it has asked the storage, and that it leaves nothing where there is nothing to run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from ..waiting import PATIENCE_S, wait_for

STUDY = """
name: slow
objective: slow:objective
metric: loss
direction: minimize
n_trials: 1
max_epochs: 1
"""
EARLY = """
from multiprocessing import forkserver
from studies.run.launchers import get_ready
from studies.spec import load

spec = load("./slow.yaml")
get_ready("ssh:nowhere", spec, 1)  # it has nothing to begin with
assert forkserver._forkserver._forkserver_pid is None
get_ready("local", spec, 1)
print(forkserver._forkserver._forkserver_pid)
"""


def test_the_fork_server_starts_early_and_ends_with_the_launch(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\n\ntime.sleep(600)\n")  # which the fork server imports
    (tmp_path / "slow.yaml").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-c", EARLY], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    pid = int(done.stdout)
    if psutil.pid_exists(pid):
        psutil.Process(pid).wait(timeout=PATIENCE_S)


IMPORTING = """
import time
from pathlib import Path

Path("importing").touch()
while not Path("go").exists():
    time.sleep(0.01)
Path("imported").touch()
"""


def test_a_ctrl_c_while_the_fork_server_imports_is_left_to_the_launch(tmp_path: Path) -> None:
    (tmp_path / "importing_slowly.py").write_text(IMPORTING)
    code = (
        "from multiprocessing import forkserver; from studies.run.launchers.forkserver import started;"
        "started('importing_slowly'); print(forkserver._forkserver._forkserver_pid, flush=True); input()"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        wait_for((tmp_path / "importing").exists)
        os.kill(pid, signal.SIGINT)
        (tmp_path / "go").touch()
        wait_for((tmp_path / "imported").exists)
        assert process.communicate("\n")[1] == ""


def test_the_fork_server_starts_where_the_path_of_temporary_files_is_long(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 100)
    place.mkdir()
    code = (
        "from multiprocessing import util; from studies.run.launchers.forkserver import started; started('json');"
        "import tempfile; print(util.get_temp_dir(), tempfile.mkdtemp())"
    )
    environment = os.environ | {"TMPDIR": str(place)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    sockets, others = done.stdout.split()
    assert not Path(sockets).exists()
    assert Path(others).parent == place
