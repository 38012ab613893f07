"""How good are the settings that a search has found after so many epochs? Ours and its peers, on a virtual clock.

    python benchmarks/search.py --curves DIR [--quick] [--json FILE]

Install with `pip install 'studies[bench]'`, and `pip install syne-tune huggingface_hub neural-pipeline-search` for the
peers that are not Optuna; what is not installed is not measured, and is named. DIR holds learning curves, which do not
ship: `lcbench.onnx` and `lcbench_tasks.json` (YAHPO's surrogate of LCBench, 34 tasks), `taskset_*.npz` (recorded runs).

Every trial is of at most 51 epochs (TaskSet: 50), and the number of trials is open. 1, 4 and 16 simulated workers train
them epoch by epoch; the same seed gives the same rows. Regret is (best known - best so far) / (best known - median
random setting) after so many epochs of all workers together: 0 is the best, 1 no better than a random setting, 3 the
most that is counted. What counts is the best value reported, whatever becomes of its trial. LCBench's best known
is from a long search, and regret by the best of 1,000 random settings is given beside it. Where seconds are known,
regret is also given after the seconds of so many median epochs, waiting of idle workers included.

"ours --from 5 others" begins with the best settings that the default found in 1,664 epochs of each of five other tasks
of the set, drawn at random; for that all its tasks are searched first, under a seed of their own.

Sets end in -tuning (tasks of even position: look at these while changing a search) and -others (look at these last).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import optuna
from searching.contenders import CONTENDERS, OURS
from searching.known import FILE, find_all, known
from searching.regret import BUDGETS, Regrets, Row, regrets, rows, table
from searching.simulation import Params, Task, simulate
from searching.tasks import SETS, DataMissing, tasks_of

PROCESSES = multiprocessing.get_context("forkserver")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WORKERS = (1, 4, 16)
SEEDS = 10
SEEDS_APART = 1000
QUICK_EVERY = {"lcbench": 6, "taskset": 2}  # of the tasks
SLOW_S = 10.0  # a run: those that take longer have one seed, and none with --quick


@dataclass(frozen=True)
class Job:
    """Everybody on one task with one seed, so that what several of them train is predicted once."""

    set: str
    position: int
    seed: int
    who: tuple[str, ...]
    workers: tuple[int, ...]
    curves: Path
    best: Mapping[int, Params]  # that earlier searches found, by task; empty where nobody asks for it

    @property
    def seconds(self) -> float:
        """About how long it takes on one quiet core."""
        return len(self.workers) * sum(CONTENDERS[who].run_s for who in self.who)


@dataclass(frozen=True)
class Result:
    """One search on one task."""

    who: str
    set: str
    position: int
    workers: int
    regrets: Regrets

    @property
    def sets(self) -> tuple[str, str]:
        """The sets of tasks that it counts for."""
        return self.set, f"{self.set}-{'others' if self.position % 2 else 'tuning'}"


@cache
def tasks(name: str, curves: Path) -> list[Task]:
    """Return the tasks of a set, read once a process."""
    return tasks_of(name, curves)


def run(job: Job) -> list[Result]:
    """Run a job, in whichever process.

    Each task has random numbers of its own. The spaces of a set are the same, so with those of one seed all its tasks
    would begin with the same settings, and one lucky draw would look like many.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of the peers
    task = tasks(job.set, job.curves)[job.position]
    scale = known(task)
    seed = job.seed * SEEDS_APART + job.position
    results = []
    for who in job.who:
        contender = CONTENDERS[who]
        others = [params for position, params in job.best.items() if position != job.position]
        if contender.n_others > len(others):
            continue
        given = {"first": random.Random(seed).sample(others, contender.n_others)} if contender.n_others else {}
        for workers in job.workers:
            found = regrets(simulate(task, contender.make(task, seed, **given), workers), scale, workers)
            results.append(Result(who, job.set, job.position, workers, found))
    task.forget()
    return results


def find_best(search: tuple[str, int, int, Path]) -> Params:
    """Return the best setting that the default finds on a task: a set and the position in it, a seed, the curves."""
    name, position, seed, curves = search
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = tasks(name, curves)[position]
    ours = CONTENDERS[OURS].make(task, seed * SEEDS_APART + position)
    deque(islice(simulate(task, ours, 4), BUDGETS[-1]), maxlen=0)
    task.forget()
    return ours.best


def jobs(given: argparse.Namespace, who: Sequence[str], sets: Mapping[str, Mapping[int, Params]]) -> Iterator[Job]:
    """Yield what is to be run: all tasks with the first seed, then with the next. sets: with what is known of each."""
    quick = tuple(each for each in who if CONTENDERS[each].run_s <= SLOW_S)
    for seed in range(given.seeds):
        for of in sets:
            positions = range(len(tasks(of, given.curves)))
            for position in positions[:: QUICK_EVERY[of] if given.quick else 1]:
                if given.tasks in ("all", ("tuning", "others")[position % 2]):
                    everybody = tuple(who) if seed == 0 and not given.quick else quick
                    yield Job(of, position, seed, everybody, tuple(given.workers), given.curves, sets[of])


def measured(results: Sequence[Result], who: Sequence[str]) -> list[Row]:
    """Return the rows of the table: the contenders in their order, each set, each number of workers."""
    groups: dict[tuple[str, int, int], list[Regrets]] = {}
    for each in results:
        for of in each.sets:
            groups.setdefault((of, each.workers, who.index(each.who)), []).append(each.regrets)
    return [row for (of, n, by), found in sorted(groups.items()) for row in rows(who[by], of, n, found)]


def chosen(parts: Sequence[str]) -> list[str]:
    """Return the contenders of these names, or, of what is no name, those that have it in theirs."""
    return [name for name in CONTENDERS if any(part == name if part in CONTENDERS else part in name for part in parts)]


def missing(curves: Path, who: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the sets that can be measured, and why other sets and contenders cannot."""
    lacking = {each: why for each in who if (why := CONTENDERS[each].missing) is not None}
    sets = []
    for name in SETS:
        try:
            tasks(name, curves)
            sets.append(name)
        except DataMissing as error:
            lacking[name] = str(error)
    return sets, lacking


def earlier(given: argparse.Namespace, name: str) -> dict[int, Params]:
    """Return the best setting of each task of a set, as a search under another seed than the measured ones finds it."""
    say(f"Searches all tasks of {name} first, for those who start from others.")
    todo = [(name, position, given.seeds, given.curves) for position in range(len(tasks(name, given.curves)))]
    with PROCESSES.Pool(given.processes) as pool:
        return dict(enumerate(pool.imap(find_best, todo)))


def work(todo: Sequence[Job], n_processes: int) -> list[Result]:
    """Run the jobs and say to stderr how far they are. Ctrl-C or SIGTERM ends it with what there is."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    expected = sum(job.seconds for job in todo)
    say(f"{len(todo)} tasks and seeds: about {expected / n_processes / 60:.0f} min on {n_processes} quiet cores")
    results: list[Result] = []
    began = time.monotonic()
    with PROCESSES.Pool(n_processes) as pool:
        try:
            for n_done, found in enumerate(pool.imap_unordered(run, todo), start=1):
                results += found
                if n_done % 10 == 0:
                    say(f"{n_done} of {len(todo)} after {(time.monotonic() - began) / 60:.1f} min")
        except KeyboardInterrupt:
            say("Stopped: the tables have what was done until now.")
    return sorted(results, key=lambda each: (each.set, each.position, each.workers))


def say(line: str) -> None:
    """Print a line that is no result."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Read what was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, required=True, metavar="DIR", help="the folder with the learning curves")
    parser.add_argument("--quick", action="store_true", help="one task of six and 4 workers, in under five minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    parser.add_argument("--seeds", type=int, help=f"of each task (default: {SEEDS}; quick: 2)")
    parser.add_argument("--workers", type=int, nargs="+", help="simulated ones (default: 1 4 16; quick: 4)")
    parser.add_argument("--tasks", choices=("all", "tuning", "others"), default="all", help="default: all")
    parser.add_argument("--who", nargs="+", default=[""], help="only these, or those with one of these in their name")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: one a core")
    parser.add_argument("--find-best", action="store_true", help=f"search LCBench for its best, write {FILE.name}, end")
    given = parser.parse_args()
    given.seeds = given.seeds or (2 if given.quick else SEEDS)
    given.workers = given.workers or ([4] if given.quick else list(WORKERS))
    return given


def main() -> int:
    """Measure, and print Markdown tables."""
    given = arguments()
    if given.find_best:
        find_all(given.curves)
        return 0
    who = chosen(given.who)
    sets, lacking = missing(given.curves, who)
    if given.quick:
        lacking |= {each: "too slow for --quick" for each in who if CONTENDERS[each].run_s > SLOW_S}
    who = [each for each in who if each not in lacking]
    for name, why in lacking.items():
        print(f"Not measured: {name}: {why}.")
    if not sets or not who:
        return 1
    os.environ |= dict.fromkeys(ONE_THREAD, "1")  # before numpy and torch are imported in a process of its own
    from_others = any(CONTENDERS[each].n_others for each in who)
    best = {of: earlier(given, of) if from_others else {} for of in sets}
    found = measured(work(list(jobs(given, who, best)), given.processes), who)
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps({"rows": [row.as_data() for row in found], "not_measured": lacking}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
