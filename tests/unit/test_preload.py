"""A script that is started by fork is as one that is started by exec, but for what it need not import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from studies.errors import ObjectiveRefused, SpecRefused
from studies.run.objective import load_with_space
from studies.run.program import ProgramFailed, ProgramObjective, ProgramTraining
from studies.spec import StudySpec

from ..waiting import PATIENCE_S, wait_for

LOOKS = """
import atexit, json, os, pickle, multiprocessing, random, signal, sys
from concurrent.futures import ProcessPoolExecutor

class Own:
    pass

def double(x):
    return 2 * x

def main():
    from studies import program
    signals = {number: str(signal.getsignal(number)).split(" at ")[0] for number in {*signal.Signals} - {9, 19}}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        doubled = list(pool.map(double, [21]))
    scratch = os.environ["STUDIES_SCRATCH"]
    environment = {key: value for key, value in os.environ.items() if not value.startswith(scratch)}
    seen = {
        "argv": sys.argv, "cwd": os.getcwd(), "name": __name__, "file": __file__, "path": sys.path,
        "environment": environment, "signals": signals, "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "leads": os.getpgid(0) == os.getsid(0) == os.getpid(), "stdin": sys.stdin.read(), "umask": os.umask(0o22),
        "own": type(pickle.loads(pickle.dumps(Own()))).__module__, "doubled": doubled,
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0,
        "params": program.params, "seed": program.seed, "unbuffered": sys.stdout.write_through,
    }
    print(json.dumps(seen, sort_keys=True))
    program.report(1, score=1)
    atexit.register(print, "at exit")

if __name__ == "__main__":
    main()
"""


def training(directory: Path, command: list[str], preload: list[str], logs: Path, number: int = 0) -> ProgramTraining:
    return objective(directory, command, preload, logs).start(
        {"x": 0.5}, None, seed=number, device="cpu", number=number
    )


def objective(directory: Path, command: list[str], preload: list[str], logs: Path) -> ProgramObjective:
    spec = StudySpec.model_validate(
        {
            "name": "mine", "objective": {"command": command, "preload": preload, "directory": str(directory)},
            "metric": "score", "direction": "maximize", "n_trials": 1, "max_epochs": 3,
            "space": {"x": {"low": 0.1, "high": 1.0}}, "resources": {"gpus_per_worker": 0, "grace_s": 0.5},
        }
    )  # fmt: skip
    return ProgramObjective(spec, logs)


def ended(run: ProgramTraining) -> str:
    """Run it to its end; return how it ended."""
    try:
        while True:
            run.epoch()
    except ProgramFailed as error:
        return str(error)
    except Exception as error:
        return type(error).__name__
    finally:
        run.close()


@pytest.mark.parametrize("command", [["train.py", "--x", "{x}", "a b"], ["-m", "pack.train", "--x", "{x}"]])
def test_a_forked_script_finds_what_a_started_one_does(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    for path in (tmp_path / "train.py", tmp_path / "pack" / "train.py"):
        path.write_text(LOOKS)
    seen: list[dict[str, Any]] = []
    for preload in ([], ["json", "numpy"]):
        run = training(tmp_path, ["{python}", *command], preload, tmp_path)
        assert ended(run) == "ProgramEnded"
        looked, at_exit, how = (tmp_path / "trial-0.log").read_text().splitlines()
        assert at_exit == "at exit"
        assert how.startswith("[studies] exited with 0")
        assert (run.memory_mib or 0) > 1
        seen.append(json.loads(looked))
    assert seen[0] == seen[1]


def test_a_forked_script_has_its_own_random_numbers_and_no_import_to_do(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import sys; loaded = 'numpy' in sys.modules\nimport numpy, random\nprint(loaded, numpy.random.rand(), "
        "random.random())\nfrom studies import program\nprogram.report(1, score=program.seed)"
    )
    one = objective(tmp_path, ["{python}", "train.py"], ["numpy", "studies.program"], tmp_path)
    drawn = set()
    for number in (0, 1):
        run = one.start({"x": 0.5}, None, seed=number, device="cpu", number=number)
        assert run.epoch() == {"score": number}
        run.close()
        loaded, *numbers = (tmp_path / f"trial-{number}.log").read_text().split()[:3]
        assert loaded == "True"
        drawn |= {*numbers}
    assert len(drawn) == 4


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "import sys; sys.exit(3)", "raise SystemExit('no data')", "import os; os.kill(os.getpid(), 15)", "x ="],
)
def test_a_forked_script_ends_as_a_started_one_does(tmp_path: Path, code: str) -> None:
    (tmp_path / "train.py").write_text(f"print('begun')\n{code}\n")
    said = [ended(training(tmp_path, ["{python}", "train.py"], preload, tmp_path)) for preload in ([], ["json"])]
    assert said[0] == said[1]


def test_what_was_imported_before_is_collected_at_the_end_as_ever(tmp_path: Path) -> None:
    """Libraries that count what is never collected, as nanobind's do, print hundreds of lines where it is not."""
    (tmp_path / "cycle.py").write_text(
        "import os\n\nclass Cycle:\n    def __del__(self, write=os.write):\n        write(1, b'collected')\n\n"
        "one = Cycle()\none.itself = one\n"
    )
    (tmp_path / "train.py").write_text("import cycle\nfrom studies import program\nprogram.report(1, score=1)\n")
    for number, preload in enumerate(([], ["cycle"])):
        assert ended(training(tmp_path, ["{python}", "train.py"], preload, tmp_path, number)) == "ProgramEnded"
        assert "collected" in (tmp_path / f"trial-{number}.log").read_text()


def test_a_preloader_that_is_killed_is_started_again_and_ends_with_its_worker(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("from studies import program\nprogram.report(1, score=1)")
    one = objective(tmp_path, ["{python}", "train.py"], ["json"], tmp_path)
    for _ in range(2):
        run = one.start({"x": 0.5}, None, seed=0, device="cpu")
        assert run.epoch() == {"score": 1.0}
        run.close()
        (server,) = [each for each in psutil.Process().children() if "preloader.py" in " ".join(each.cmdline())]
        os.kill(server.pid, signal.SIGKILL)
        server.wait(PATIENCE_S)


def test_a_script_is_pruned_while_it_ignores_everything(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import signal, subprocess, sys, time\nsignal.signal(15, signal.SIG_IGN)\nfrom studies import program\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid, flush=True)\nprogram.report(1, score=1)\ntime.sleep(600)\n"
    )
    run = training(tmp_path, ["{python}", "train.py"], ["json"], tmp_path)
    run.epoch()
    run.close()
    child = int((tmp_path / "trial-0.log").read_text().split()[0])
    wait_for(lambda: not psutil.pid_exists(child))


@pytest.mark.parametrize(
    ("preload", "words"), [(["no_such_module"], "ModuleNotFoundError"), (["broken"], "ValueError: no")]
)
def test_a_module_that_cannot_be_imported_stops_the_study(tmp_path: Path, preload: list[str], words: str) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('no')")
    (tmp_path / "train.py").touch()
    run = training(tmp_path, ["{python}", "train.py"], preload, tmp_path)
    with pytest.raises(ObjectiveRefused, match=f"objective.preload cannot import {preload[0]}: {words}"):
        run.epoch()
    run.close()


@pytest.mark.parametrize(
    "command", [["bash", "train.sh"], ["python", "-u", "train.py"], ["python"], ["torchrun", "x.py"]]
)
def test_preload_is_for_python_scripts(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(SpecRefused, match="preload is for a command such as python SCRIPT or python -m MODULE"):
        load_with_space(
            objective(tmp_path, [*command, "{x}"] if len(command) > 1 else command, ["json"], tmp_path).spec
        )


WORKER = """
import sys, time
from pathlib import Path
from studies.run.program import ProgramObjective
from studies.spec import StudySpec

directory = Path(sys.argv[1])
command = ["{python}", str(directory / "train.py")]
spec = {"name": "mine", "objective": {"command": command, "preload": ["json"]}, "metric": "score", "n_trials": 1,
        "direction": "maximize", "max_epochs": 3}
training = ProgramObjective(StudySpec.model_validate(spec), directory).start({}, None, seed=0, device="cpu")
training.epoch()
print("reported", flush=True)
time.sleep(600)
"""


def test_nothing_forked_survives_a_worker_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import subprocess, sys, time\nfrom studies import program\nprogram.report(1, score=1)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "reported\n"
        started = psutil.Process(worker.pid).children(recursive=True)
        assert len(started) == 3  # the preloader, its supervisor, the script
        worker.kill()
        assert psutil.wait_procs(started, timeout=PATIENCE_S)[1] == []
    assert not [*tmp_path.glob("studies-trial-*")]
