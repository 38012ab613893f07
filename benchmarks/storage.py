"""PostgresStorage against Optuna's RDBStorage: the same loop, the same server, in turns.

    python benchmarks/storage.py [--quick] [--json FILE]

A worker is a process that asks, suggests three parameters, reports N times, asks the pruner each time (successive
halving; it goes on whatever the answer, so that all trials are equally long) and tells. Three ways are measured:

    rdb      Optuna's RDBStorage
    fast     PostgresStorage in its place, nothing else changed; `ratio` is its trials/s over RDBStorage's
    claimed  PostgresStorage as `studies worker` uses it: `claim_trial` in place of `Study.ask`, for the exact budget

Each figure is the median of the repetitions, of which each runs the ways one after the other, on a study of its own.
Statements are what the driver executes; RDBStorage's BEGIN and COMMIT are round trips too but are not counted.
`besides` is statements a trial beyond one a report; below zero, quick reports travelled together. `waiting` is the
share of a worker's time spent in the driver, `tpe_share` what part of a trial's overhead is the storage with TPE.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import psycopg2
import psycopg2.extensions
from latency import delayed
from optuna.trial import TrialState

from studies.search.rungs import SuccessiveHalving
from studies.search.seeded import SeededSampler
from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer
from studies.storage.ledger import Ledger
from studies.storage.postgres import PostgresStorage

PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Case:
    """What a row of the table is about."""

    workers: int
    reports: int = 10
    sampler: str = "random"
    earlier: int = 0
    latency_ms: float = 0


QUICK = [Case(1), Case(4)]
FULL = [
    *(Case(workers) for workers in (1, 2, 4, 8, 16)),
    *(Case(workers, reports=reports) for reports in (1, 100) for workers in (1, 8)),
    *(Case(workers, sampler="tpe") for workers in (1, 8)),
    *(Case(1, earlier=earlier) for earlier in (1_000, 10_000)),
    Case(1, sampler="tpe", earlier=1_000),
    *(Case(workers, latency_ms=latency_ms) for latency_ms in (1, 10) for workers in (1, 8)),
]


# --- one worker -------------------------------------------------------------------------------------------------------


class Counting(psycopg2.extensions.cursor):
    """Counts statements and the time they take, in whichever storage uses the driver."""

    n = 0
    seconds = 0.0

    def execute(self, query: Any, vars: Any = None) -> None:
        """Execute, and take the time."""
        began = time.perf_counter()
        try:
            super().execute(query, vars)
        finally:
            Counting.n += 1
            Counting.seconds += time.perf_counter() - began


def work(way: str, url: str, name: str, case: Case, seed: int, seconds: float, start: Any, results: Any) -> None:
    """Run trials for some seconds, after one to get warm."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    connect = psycopg2.connect
    psycopg2.connect = lambda *given, **more: connect(*given, **{"cursor_factory": Counting, **more})  # type: ignore
    storage = optuna.storages.RDBStorage(url) if way == "rdb" else PostgresStorage(url)
    samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    study = optuna.load_study(
        study_name=name,
        storage=storage,
        sampler=samplers[case.sampler](seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
    )
    run_trial(study, way, case.reports)
    start.wait()
    n_trials, n_before, waited_before, began = 0, Counting.n, Counting.seconds, time.perf_counter()
    while time.perf_counter() < began + seconds:
        run_trial(study, way, case.reports)
        n_trials += 1
    took = time.perf_counter() - began
    results.put((n_trials / took, n_trials, Counting.n - n_before, (Counting.seconds - waited_before) / took))
    storage.remove_session()


def run_trial(study: optuna.Study, way: str, n_reports: int) -> None:
    """One trial without any training."""
    if way == "claimed":
        study._thread_local.cached_all_trials = None  # as `Study.ask` does, so that the sampler sees new trials
        trial = optuna.Trial(study, study._storage.claim_trial(study._study_id, n_trials=10**6))  # type: ignore
    else:
        trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    y = trial.suggest_float("y", 1e-5, 1e-1, log=True)
    trial.suggest_categorical("kind", ["a", "b", "c"])
    for step in range(n_reports):
        trial.report(x + y + 1 / (step + 1), step)
        trial.should_prune()
    if way == "claimed":
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [x + y])
    else:
        study.tell(trial, x + y)


# --- a measurement ----------------------------------------------------------------------------------------------------


def measure(case: Case, url: str, repetitions: int, seconds: float, place: Path) -> dict[str, Any]:
    """Return a row: each way's median, the ways taking turns."""
    found: dict[str, list[tuple[float, float, float]]] = {"rdb": [], "fast": [], "claimed": []}
    for repetition in range(repetitions):
        for way, rates in found.items():
            name = f"{way}-{time.time_ns()}"
            with delayed(url, case.latency_ms, place) as there:
                rates.append(measure_once(way, url, there, name, case, repetition, seconds))
    row: dict[str, Any] = asdict(case) | {"repetitions": repetitions}
    for way, rates in found.items():
        row[f"{way}_trials_per_s"] = round(statistics.median(rate for rate, _, _ in rates), 2)
        row[f"{way}_statements"] = round(statistics.median(n for _, n, _ in rates), 2)
        row[f"{way}_waiting"] = round(statistics.median(share for _, _, share in rates), 2)
        row[f"{way}_besides"] = round(row[f"{way}_statements"] - case.reports, 2)
    pairs = list(zip(found["rdb"], found["fast"], found["claimed"], strict=True))
    row["ratio"] = round(statistics.median(fast[0] / rdb[0] for rdb, fast, _ in pairs), 1)
    row["ratio_claimed"] = round(statistics.median(claimed[0] / rdb[0] for rdb, _, claimed in pairs), 1)
    row["ratios"] = [round(fast[0] / rdb[0], 1) for rdb, fast, _ in pairs]
    return row


def measure_once(
    way: str, url: str, there: str, name: str, case: Case, repetition: int, seconds: float
) -> tuple[float, float, float]:
    """Return trials per second of all workers together, statements per trial, and the share of time in the driver."""
    add_study(url, name, case.earlier, case.reports)
    start, results = PROCESSES.Barrier(case.workers), PROCESSES.Queue()
    workers = [
        PROCESSES.Process(target=work, args=(way, there, name, case, 100 * repetition + n, seconds, start, results))
        for n in range(case.workers)
    ]
    for worker in workers:
        worker.start()
    came = [results.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    n_trials = sum(n for _, n, _, _ in came)
    rate = sum(rate for rate, *_ in came)
    return rate, sum(n for _, _, n, _ in came) / n_trials, statistics.mean(share for *_, share in came)


def add_study(url: str, name: str, n_trials: int, n_reports: int) -> int:
    """Create a study with finished trials in it."""
    storage = PostgresStorage(url)
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)
    float_x = optuna.distributions.FloatDistribution(0, 1)
    float_y = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    kinds = optuna.distributions.CategoricalDistribution(("a", "b", "c"))
    run = storage._connections.run
    if n_trials:
        run(
            """INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
               SELECT %(study)s, i, 'COMPLETE', localtimestamp, localtimestamp FROM generate_series(0, %(n)s - 1) i""",
            {"study": study_id, "n": n_trials},
        )
        for param, value, kind in (("x", "random()", float_x), ("y", "0.001", float_y), ("kind", "1", kinds)):
            run(
                f"""INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
                    SELECT trial_id, '{param}', {value}, %(kind)s FROM trials WHERE study_id = %(study)s""",
                {"study": study_id, "kind": optuna.distributions.distribution_to_json(kind)},
            )
        run(
            """INSERT INTO trial_values (trial_id, objective, value, value_type)
               SELECT trial_id, 0, random(), 'FINITE' FROM trials WHERE study_id = %(study)s""",
            {"study": study_id},
        )
        run(
            """INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
               SELECT trial_id, step, random(), 'FINITE' FROM trials, generate_series(0, %(n)s - 1) step
               WHERE study_id = %(study)s""",
            {"study": study_id, "n": n_reports},
        )
        run("VACUUM ANALYZE", {})
    storage.remove_session()
    return study_id


# --- what does not depend on workers ----------------------------------------------------------------------------------


def cold_start(url: str) -> dict[str, Any]:
    """Seconds until a new process has a study of 5,000 trials with 20 reports each in memory."""
    study_id = add_study(url, f"cold-{time.time_ns()}", 5_000, 20)
    took: dict[str, list[float]] = {"rdb": [], "fast": []}
    for _ in range(3):
        for way, seconds in took.items():
            storage = optuna.storages.RDBStorage(url) if way == "rdb" else PostgresStorage(url)
            began = time.perf_counter()
            n = len(storage.get_all_trials(study_id, deepcopy=False))
            seconds.append(round(time.perf_counter() - began, 3))
            assert n == 5_000
            storage.remove_session()
    return {"trials": 5_000, "reports": 20} | {f"{way}_s": seconds for way, seconds in took.items()}


def growth(url: str) -> dict[str, dict[int, float]]:
    """Median milliseconds of each operation on a study of 1,000 and of 100,000 finished trials, taking turns."""
    sizes = (1_000, 100_000)
    opened = {n: (PostgresStorage(url), add_study(url, f"grown-{n}-{time.time_ns()}", n, 3)) for n in sizes}
    ledger = Ledger(url, lease_s=60, wait_s=60)
    for storage, study_id in opened.values():
        ledger.open_study(study_id, 10**6)
        storage._connections.run(
            """INSERT INTO trial_system_attributes (trial_id, key, value_json)
               SELECT trial_id, 'completed_rung_0', random()::text FROM trials WHERE study_id = %(study)s""",
            {"study": study_id},
        )
    times: dict[str, dict[int, list[float]]] = {}
    for turn in range(-20, 300):
        for n, (storage, study_id) in opened.items():
            for operation, seconds in time_operations(storage, ledger, study_id).items():
                if turn >= 0:
                    times.setdefault(operation, {size: [] for size in sizes})[n].append(seconds)
    return {
        operation: {n: round(1000 * statistics.median(seconds), 3) for n, seconds in by_size.items()}
        for operation, by_size in times.items()
    }


def time_operations(storage: PostgresStorage, ledger: Ledger, study_id: int) -> dict[str, float]:
    """Run a trial and time its operations."""
    times: dict[str, float] = {}

    def timed(name: str, call: Any, *given: Any) -> Any:
        began = time.perf_counter()
        result = call(*given)
        times[name] = time.perf_counter() - began
        return result

    timed("budget", ledger.budget, study_id)
    trial_id = timed("claim", lambda: storage.claim_trial(study_id, n_trials=10**6))
    storage.set_trial_user_attr(trial_id, "seconds", 1)
    timed("report", storage.set_trial_intermediate_value, trial_id, 0, 0.5)
    timed("rung", storage.complete_rung, trial_id, "completed_rung_0", 0.5)
    timed("read new", storage.get_n_trials, study_id)
    timed("finish", storage.set_trial_state_values, trial_id, TrialState.COMPLETE, [0.5])
    timed("best", storage.get_best_trial, study_id)
    timed("is waiting", storage.get_all_trials, study_id, False, (TrialState.WAITING,))
    return times


def tpe_share(url: str) -> list[dict[str, Any]]:
    """What part of a trial without training passes in the storage when TPE samples, by the trials there are already.

    `optuna` is an Optuna program with its own sampler and pruner; `service` is what `studies worker` does.
    """
    found = []
    for earlier, n_trials in ((0, 200), (1_000, 100), (10_000, 20)):
        for who in ("optuna", "service"):
            name = f"tpe-{time.time_ns()}"
            add_study(url, name, earlier, 10)
            storage = PostgresStorage(url)
            study = optuna.load_study(study_name=name, storage=storage)
            study.sampler = (
                SeededSampler(optuna.samplers.TPESampler, 0) if who == "service" else optuna.samplers.TPESampler(seed=0)
            )
            halving = SuccessiveHalving if who == "service" else optuna.pruners.SuccessiveHalvingPruner
            study.pruner = halving(min_resource=1, reduction_factor=4)
            way = "claimed" if who == "service" else "fast"
            for _ in range(15):  # its first ten are random
                run_trial(study, way, 10)
            spent = time_methods(storage)
            began, cpu_began = time.perf_counter(), time.process_time()
            for _ in range(n_trials):
                run_trial(study, way, 10)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
            found.append({
                "who": who, "earlier": earlier, "trial_ms": round(1000 * took / n_trials, 2),
                "storage_ms": round(1000 * spent[0] / n_trials, 2), "share": round(spent[0] / took, 3),
                "cpu_share": round(spent[1] / cpu, 3),
            })  # fmt: skip
            storage.remove_session()
    return found


def time_methods(storage: PostgresStorage) -> list[float]:
    """Return the seconds that will have been spent in a storage's methods: of the clock, and of this process's CPU."""
    spent, inside = [0.0, 0.0], [False]

    def timed(method: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            if inside[0]:
                return method(*given, **more)
            inside[0], began, cpu_began = True, time.perf_counter(), time.process_time()
            try:
                return method(*given, **more)
            finally:
                spent[0] += time.perf_counter() - began
                spent[1] += time.process_time() - cpu_began
                inside[0] = False

        return call

    for name in ("get_all_trials", "get_trial", "get_trial_system_attrs", "create_new_trial", "claim_trial",
                 "set_trial_param", "set_trial_system_attr", "set_trial_intermediate_value", "complete_rung",
                 "set_trial_state_values"):  # fmt: skip
        setattr(storage, name, timed(getattr(storage, name)))
    return spent


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 and 4 workers only, in under 45 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    PROCESSES.set_forkserver_preload(["studies.storage.postgres", "optuna.storages._rdb.models"])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    found: dict[str, Any] = {"rows": []}
    try:
        with EmbeddedServer(Settings(None, place / "home", place / "data")) as server:
            if not options.quick:
                found |= {"cold_start": cold_start(server.url), "growth_ms": growth(server.url)}
                found |= {"tpe_share": tpe_share(server.url)}
                print(json.dumps({key: value for key, value in found.items() if key != "rows"}), flush=True)
            for case in QUICK if options.quick else FULL:
                row = measure(case, server.url, 2 if options.quick else 3, 1.5, place)
                found["rows"].append(row)
                print(json.dumps(row), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
