"""How long a person waits for the first trial: from Enter to a running trial, against `import torch` alone.

    python benchmarks/first_trial.py -n 5

The data set is prepared and the embedded server runs. The two take turns, `import torch` first; each launch is a study
of its own, of one trial, and the time is taken when the trial stands as running in the storage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import psycopg2

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

QUICK = ("--trials", "1", "--set", "max_epochs=1")


def first_trial(study: str, name: str, environment: dict[str, str], url: str) -> float:
    """Return the seconds from the start of the command to the first running trial."""
    command = [sys.executable, "-m", "studies", "launch", study, "--set", f"name={name}", *QUICK]
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not begun(connection, name):
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} left with {process.returncode} before a trial ran")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        process.wait()
    return seconds


def begun(connection: psycopg2.extensions.connection, name: str) -> bool:
    """Whether a trial of the study runs, or has run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('trials') IS NOT NULL")
        if cursor.fetchone() == (False,):
            return False
        cursor.execute(
            "SELECT FROM trials JOIN studies USING (study_id) WHERE study_name = %s AND state <> 'WAITING'", (name,)
        )
        return cursor.rowcount > 0


def import_torch(environment: dict[str, str]) -> float:
    """Return the seconds that a process takes which imports torch."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], env=environment, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print every time, the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="meli-cnn", help="a study of the catalog or a file (default: meli-cnn)")
    parser.add_argument("-n", type=int, default=5, help="how often each (default: 5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = os.environ | {"STUDIES_HOME": home}
        environment.pop("STUDIES_STORAGE", None)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the warm-up leaves compiled modules, as an installation does
        with EmbeddedServer(Settings.from_environment(environment)) as server, contextlib.chdir(home):
            first_trial(given.study, "warm-up", environment, server.url)  # prepares the data set
            measure(
                given.n,
                lambda: import_torch(environment),
                lambda turn: first_trial(given.study, f"first-{turn}", environment, server.url),
            )


def measure(n: int, torch: Callable[[], float], trial: Callable[[int], float]) -> None:
    """Take turns, and print."""
    pairs = [(torch(), trial(turn)) for turn in range(n)]
    for alone, launched in pairs:
        print(f"import torch {alone:5.2f} s   first trial {launched:5.2f} s   ratio {launched / alone:.2f}")
    alone, launched = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(launched / alone for alone, launched in pairs)
    print(f"median of {n}: import torch {alone:.2f} s, first trial {launched:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
