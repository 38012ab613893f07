"""How long until a browser can show something useful of a large study, and how many bytes is that?

    python benchmarks/dashboard.py [--trials 5000] [--repeats 3]
    python benchmarks/dashboard.py --studies 200

Launches a study of so many trials of 20 epochs on an embedded server of its own. Then, taking turns, each time in a
fresh process: `studies dashboard` and the page of the study; plain optuna-dashboard and what its page needs before it
shows a trial (page, script, list of studies, the study). Seconds are the clock's, from the first request on; "seen" is
when Chromium, with an empty profile, has the first curve, or the first study's name, on the screen. With --studies the
same for the list of so many studies of five trials.
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
from dataclasses import dataclass
from pathlib import Path

from report import OBJECTIVE, STUDY, timed

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

STOCK = (
    "import optuna_dashboard, sys; optuna_dashboard.run_server(sys.argv[1], host='127.0.0.1', port=int(sys.argv[2]))"
)
PORT = 18_080


@dataclass(frozen=True)
class Page:
    """What is asked for before a page shows something, where a browser goes, and what it then shows."""

    paths: tuple[str, ...]
    opened: str
    shows: str


OURS = Page(("/studies/large",), "/studies/large", "document.querySelector('polyline')")
THEIRS = Page(
    ("/dashboard", "/static/bundle.js", "/api/studies", "/api/studies/1"),
    "/dashboard/studies/1",
    "document.querySelector('.js-plotly-plot path.js-line, .js-plotly-plot .point')",
)
OUR_LIST = Page(("/",), "/", "document.body.innerText.includes('study-1')")
THEIR_LIST = Page(("/dashboard", "/static/bundle.js", "/api/studies"), "/dashboard", OUR_LIST.shows)


@dataclass(frozen=True)
class Run:
    """What one server cost. first: seconds and bytes of the first answers."""

    first: tuple[float, int]
    again_s: float
    seen_s: float


def asked(address: str, paths: tuple[str, ...]) -> tuple[float, int]:
    """Return how many seconds and bytes the answers take, compressed where the server does that."""
    began, n_bytes = time.perf_counter(), 0
    for path in paths:
        request = urllib.request.Request(address + path, headers={"Accept-Encoding": "gzip", "Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            n_bytes += len(answer.read())
    return time.perf_counter() - began, n_bytes


def seen(address: str, page: Page) -> float:
    """Return after how many seconds a browser that was never there shows it."""
    from tests.browser.driven import chromium

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as tab:
        began = time.perf_counter()
        tab.open(address + page.opened)
        tab.wait_for(f"!!({page.shows})")
        return time.perf_counter() - began


def served(command: list[str], address: str, page: Page, environment: dict[str, str]) -> Run:
    """Start a server, ask twice as soon as it listens, look at it in a browser, and end it."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                asked(address, ("/favicon.ico",))
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        return Run(asked(address, page.paths), asked(address, page.paths)[0], seen(address, page))
    finally:
        process.terminate()
        process.wait()


def told(name: str, runs: list[Run]) -> None:
    """Print a row."""
    first, megabytes = [run.first[0] for run in runs], runs[0].first[1] / 1e6
    every = ", ".join(f"{seconds:.2f}" for seconds in first)
    again, shown = (
        statistics.median(found) for found in zip(*((run.again_s, run.seen_s) for run in runs), strict=True)
    )
    print(f"| {name} | {statistics.median(first):.2f} ({every}) | {again:.2f} | {shown:.2f} | {megabytes:.2f} |")


def launched(place: Path, environment: dict[str, str], n_trials: int) -> None:
    """Launch one large study."""
    (place / "quick.py").write_text(OBJECTIVE)
    (place / "large.yaml").write_text(STUDY.format(n_trials=n_trials))
    timed(["launch", "./large.yaml", "--workers", "2"], place, environment)


def filled(url: str, n_studies: int) -> None:
    """Put many small studies into the storage, as a launch and its workers would."""
    import optuna

    from studies.settings import Settings
    from studies.spec import StudySpec
    from studies.spec.description import Description
    from studies.spec.space import Space
    from studies.storage import Storage
    from studies.study import create_or_join, open_for_workers

    declared = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}
    about = {"objective": "mine:Made", "dataset": "none", "metric": "loss", "direction": "minimize", "n_trials": 5}
    with Storage(url, Settings(None, Path("/nowhere"), Path("/nowhere"))) as storage:
        for n in range(n_studies):
            spec = StudySpec.model_validate({"name": f"study-{n}", "max_epochs": 5} | about)
            description = Description(declared, {"name": "none", "sha256": None}, Space.declared(declared))
            with create_or_join(storage, spec, description) as (study, _):
                open_for_workers(storage, study, spec)
            curve = {epoch: 1 / epoch for epoch in range(1, 6)}
            study.add_trials([optuna.create_trial(value=0.2, intermediate_values=curve) for _ in range(5)])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--studies", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("STUDIES_")}
    environment |= {"STUDIES_HOME": str(place / "home"), "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        timed(["storage", "up"], place, environment)
        storage = [sys.executable, "-m", "studies", "storage", "url"]
        url = subprocess.run(storage, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        if given.studies:
            filled(url, given.studies)
        else:
            launched(place, environment, given.trials)
        what = f"{given.studies:,} studies" if given.studies else f"{given.trials:,} trials x 20 epochs"
        our_page, their_page = (OUR_LIST, THEIR_LIST) if given.studies else (OURS, THEIRS)
        url = re.sub("^postgresql:", "postgresql+psycopg2:", url)
        ours = [sys.executable, "-m", "studies", "dashboard", "--port", str(PORT)]
        theirs = [sys.executable, "-c", STOCK, url, str(PORT + 1)]
        runs: dict[str, list[Run]] = {"studies dashboard": [], "optuna-dashboard": []}
        for _ in range(given.repeats):
            runs["studies dashboard"].append(served(ours, f"http://127.0.0.1:{PORT}", our_page, environment))
            runs["optuna-dashboard"].append(served(theirs, f"http://127.0.0.1:{PORT + 1}", their_page, environment))
        print(f"| {what} | first, s: median (each) | again, s | seen, s | MB |\n|---|---|---|---|---|")
        for name, found in runs.items():
            told(name, found)
        timed(["storage", "down"], place, environment)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
