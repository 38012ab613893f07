"""How long until a browser can show something useful of a large study, and how many bytes is that?

    python benchmarks/dashboard.py [--trials 5000] [--repeats 3]

Launches a study of so many trials of 20 epochs on an embedded server of its own. Then, taking turns, each time in a
fresh process: `studies dashboard` and the page of the study; plain optuna-dashboard and what its page needs before it
shows a trial (page, script, list of studies, the study). Seconds are the clock's, from the first request on.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from report import OBJECTIVE, STUDY, timed

STOCK = (
    "import optuna_dashboard, sys; optuna_dashboard.run_server(sys.argv[1], host='127.0.0.1', port=int(sys.argv[2]))"
)
PORT = 18_080
OURS = ("/studies/large",)
THEIRS = ("/dashboard", "/static/bundle.js", "/api/studies", "/api/studies/1")


def asked(address: str, paths: tuple[str, ...]) -> tuple[float, int]:
    """Return how many seconds and bytes the answers take, compressed where the server does that."""
    began, n_bytes = time.perf_counter(), 0
    for path in paths:
        request = urllib.request.Request(address + path, headers={"Accept-Encoding": "gzip", "Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            n_bytes += len(answer.read())
    return time.perf_counter() - began, n_bytes


def served(
    command: list[str], address: str, paths: tuple[str, ...], environment: dict[str, str]
) -> list[tuple[float, int]]:
    """Start a server, ask twice as soon as it listens, and end it: return the first and the second time's costs."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                asked(address, ("/favicon.ico",))
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        return [asked(address, paths), asked(address, paths)]
    finally:
        process.terminate()
        process.wait()


def told(name: str, runs: list[list[tuple[float, int]]]) -> None:
    """Print a row."""
    first, again = ([run[turn][0] for run in runs] for turn in (0, 1))
    every, megabytes = ", ".join(f"{seconds:.2f}" for seconds in first), runs[0][0][1] / 1e6
    print(f"| {name} | {statistics.median(first):.2f} ({every}) | {statistics.median(again):.2f} | {megabytes:.2f} |")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("STUDIES_")}
    environment |= {"STUDIES_HOME": str(place / "home"), "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        (place / "quick.py").write_text(OBJECTIVE)
        (place / "large.yaml").write_text(STUDY.format(n_trials=given.trials))
        timed(["storage", "up"], place, environment)
        timed(["launch", "./large.yaml", "--workers", "2"], place, environment)
        storage = [sys.executable, "-m", "studies", "storage", "url"]
        url = subprocess.run(storage, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        url = re.sub("^postgresql:", "postgresql+psycopg2:", url)
        ours = [sys.executable, "-m", "studies", "dashboard", "--port", str(PORT)]
        theirs = [sys.executable, "-c", STOCK, url, str(PORT + 1)]
        runs: dict[str, list[list[tuple[float, int]]]] = {"studies dashboard": [], "optuna-dashboard": []}
        for _ in range(given.repeats):
            runs["studies dashboard"].append(served(ours, f"http://127.0.0.1:{PORT}", OURS, environment))
            runs["optuna-dashboard"].append(served(theirs, f"http://127.0.0.1:{PORT + 1}", THEIRS, environment))
        print(f"| {given.trials:,} trials x 20 epochs | first, s: median (each) | again, s | MB |\n|---|---|---|---|")
        for name, found in runs.items():
            told(name, found)
        timed(["storage", "down"], place, environment)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
