"""What a worker costs, from 1 to 64 of them on this machine: `studies`, plain Optuna, and Ray Tune.

    python benchmarks/scaling.py [--quick] [--json FILE] [--workers 1 4 16 64] [--trial-s 1 5 30] [--ray PYTHON]

Trials sleep so many seconds and report ten times in between; the sampler is random, and nothing is pruned. The three
take turns. `studies` and Optuna (with its RDBStorage) use one embedded PostgreSQL; Ray Tune keeps its own state. Ray is
started by a Python of its own, by default that of build/ray:

    python -m venv build/ray && build/ray/bin/pip install 'ray[tune]'

Where that is not, Ray is not measured, which is said. All of it takes half an hour, `--quick` six minutes.

busy            the share of the workers' time that trials slept, from the moment when each worker had its first trial
                until the last trial began; the rest is starting, reporting and ending trials
mib_per_worker  proportional set size (PSS) of a process that runs trials: what it shares with others counts in part
mib_beside      PSS of all other processes: launcher and fork server; Ray's driver, raylet and so on; not PostgreSQL
worker_cores    CPU seconds a second of all processes that run trials
launcher_cores  of all others, without PostgreSQL
server_cores    of PostgreSQL
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import psutil
from sleeping.journal import Span, busy, spans

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

HERE = Path(__file__).parent
LOOK_S = 0.2
SECONDS = 15.0  # of trials after the first, at least
QUICK = [(16, 1.0), (64, 5.0)]
STUDY = """
name: {name}
objective: ours:Sleep
dataset: none
metric: loss
direction: minimize
n_trials: {n_trials}
max_epochs: 10
sampler: {{name: random}}
pruner: {{name: none}}
"""


@dataclass(frozen=True)
class Row:
    """One measurement; see the top of the file."""

    who: str
    workers: int
    trial_s: float
    busy: float
    mib_per_worker: float
    mib_beside: float
    worker_cores: float
    launcher_cores: float
    server_cores: float
    trials: int


@dataclass(frozen=True)
class Case:
    """What is run: so many workers on trials of so many seconds, below a directory of its own."""

    workers: int
    trial_s: float
    place: Path

    @property
    def n_trials(self) -> int:
        """How many trials: two rounds of all workers at least, and SECONDS of them."""
        return self.workers * (1 + max(2, math.ceil(SECONDS / self.trial_s)))

    @property
    def journal(self) -> Path:
        """The file that trials write to."""
        return self.place / "journal"


def start(who: str, case: Case, url: str, ray: Path) -> subprocess.Popen[bytes]:
    """Start a contender on its trials."""
    given = [str(case.journal), str(case.workers), str(case.n_trials), str(case.trial_s)]
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as in an installation
    if who == "studies":
        name = f"sleeping-{case.workers}-{case.trial_s:g}"
        (case.place / "sleep.yaml").write_text(STUDY.format(name=name, n_trials=case.n_trials))
        shutil.copy(HERE / "sleeping" / "ours.py", case.place)
        environment |= {"STUDIES_HOME": str(case.place / "home"), "STUDIES_STORAGE": url}
        environment |= {"PYTHONPATH": str(HERE.parent), "SLEEPING_JOURNAL": given[0], "SLEEPING_TRIAL_S": given[3]}
        command = [sys.executable, "-m", "studies", "launch", "./sleep.yaml", "--workers", given[1]]
    elif who == "optuna":
        command = [sys.executable, str(HERE / "sleeping" / "with_optuna.py"), *given, url]
    else:
        command = [str(ray), str(HERE / "sleeping" / "with_ray.py"), *given]
    with (case.place / "printed").open("wb") as printed:
        return subprocess.Popen(command, cwd=case.place, env=environment, stdout=printed, stderr=subprocess.STDOUT)


def measure(who: str, case: Case, server: EmbeddedServer, ray: Path) -> Row:
    """Run a contender and return what it cost. Raises SystemExit where it fails."""
    case.journal.touch()
    process = start(who, case, server.url, ray)
    try:
        first = _usage_when(case.workers, case, process, server)  # each worker has a trial
        half = (case.workers + case.n_trials) // 2
        _wait_for(half, case, process)
        mib = _mib(process, {span.pid for span in _spans(case)})
        last = _usage_when(case.n_trials, case, process, server)  # the last one has begun
        if process.wait():
            raise SystemExit(f"{who} failed:\n{(case.place / 'printed').read_text()[-4000:]}")
    finally:
        _end(process)
    found = _spans(case)
    return Row(
        who,
        case.workers,
        case.trial_s,
        round(busy(found, case.workers, case.trial_s), 4),
        round(mib[0], 1),
        round(mib[1], 1),
        *(round(cores, 4) for cores in last.since(first, {span.pid for span in found})),
        len(found),
    )


@dataclass(frozen=True)
class Usage:
    """CPU seconds up to a moment: of each process of a contender, and of PostgreSQL in all."""

    at: float
    processes: dict[int, float]
    server: float

    def since(self, before: Usage, workers: set[int]) -> tuple[float, float, float]:
        """Return the cores that workers, all other processes of the contender and PostgreSQL used since then."""
        took = self.at - before.at
        spent = {pid: seconds - before.processes.get(pid, 0.0) for pid, seconds in self.processes.items()}
        of_workers = sum(seconds for pid, seconds in spent.items() if pid in workers)
        return of_workers / took, (sum(spent.values()) - of_workers) / took, (self.server - before.server) / took


def _usage_when(n_trials: int, case: Case, process: subprocess.Popen[bytes], server: EmbeddedServer) -> Usage:
    _wait_for(n_trials, case, process)
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    # Connections come and go; the server's children that have ended are in its own account.
    ended = postmaster.cpu_times()
    spent = sum(_seconds(postmaster.children())) + ended.user + ended.system
    spent += ended.children_user + ended.children_system
    of_contender = {one.pid: seconds for one in _tree(process) for seconds in _seconds([one])}
    return Usage(time.monotonic(), of_contender, spent)


def _wait_for(n_trials: int, case: Case, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many trials have begun."""
    while len(_spans(case)) < n_trials:
        if process.poll() is not None:
            printed = (case.place / "printed").read_text()[-4000:]
            raise SystemExit(f"it ended with {process.returncode} after {len(_spans(case))} trials:\n{printed}")
        time.sleep(LOOK_S)


def _spans(case: Case) -> list[Span]:
    text = case.journal.read_text()
    return spans(text[: text.rfind("\n") + 1].splitlines())


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def _seconds(processes: Iterable[psutil.Process]) -> Iterator[float]:
    for one in processes:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        yield times.user + times.system


def _mib(process: subprocess.Popen[bytes], workers: set[int]) -> tuple[float, float]:
    """Return the mean PSS of the processes that run trials, and that of all others together, in MiB."""
    of_workers, beside = [], 0.0
    for one in _tree(process):
        try:
            pss = one.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
        if one.pid in workers:
            of_workers.append(pss)
        else:
            beside += pss
    return sum(of_workers) / len(of_workers), beside


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, after a failure or an interruption."""
    if process.poll() is None:
        for one in reversed(_tree(process)):
            one.kill()
        process.wait()


def cases(given: argparse.Namespace) -> list[tuple[int, float]]:
    """Return the numbers of workers and seconds that are measured."""
    return QUICK if given.quick else list(product(given.workers, given.trial_s))


def main() -> None:
    """Measure, print a row as it comes, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64], metavar="N")
    parser.add_argument("--trial-s", type=float, nargs="+", default=[1.0, 5.0, 30.0], metavar="SECONDS")
    parser.add_argument("--who", nargs="+", choices=("studies", "optuna", "ray"), default=["studies", "optuna", "ray"])
    parser.add_argument("--ray", type=Path, default=HERE.parent / "build" / "ray" / "bin" / "python", metavar="PYTHON")
    parser.add_argument("--quick", action="store_true", help="16 workers on trials of 1 s, and 64 on trials of 5 s")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started is ended
    who = [one for one in given.who if one != "ray" or given.ray.exists()]
    if who != given.who:
        print(f"Ray Tune is not measured: there is no {given.ray}.", file=sys.stderr)
    rows: list[Row] = []
    place = Path(tempfile.mkdtemp(prefix="scaling-"))
    place.chmod(0o755)  # a root's PostgreSQL runs as somebody else
    try:
        with EmbeddedServer(Settings(None, place / "home", place / "data")) as server:
            for (workers, trial_s), one in product(cases(given), who):
                case = Case(workers, trial_s, place / f"{one}-{workers}-{trial_s:g}")
                case.place.mkdir()
                rows.append(measure(one, case, server, given.ray))
                print(json.dumps(asdict(rows[-1])), flush=True)
                if given.json:
                    given.json.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
