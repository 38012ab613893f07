"""What does it cost that people watch? How much do ten viewers slow two workers, and does anything grow with the hours?

    python benchmarks/dashboard_watched.py [--viewers 10] [--rounds 4] [--window 20]
    python benchmarks/dashboard_watched.py --hours 24 [--minutes 15]

--viewers: two workers train on an embedded server of its own; the dashboard runs all the while. In windows of so many
seconds, turn and turn about, nobody or so many viewers follow the study's page. Each epoch is the same piece of
computing, so epochs a second say what watching costs the workers. Also the server's own seconds of processor.

--hours: so many hours of an open page in a few minutes. One page is open in Chromium while its study changes at every
look, and the server looks as often as it can, up to 100 times as often as in life. An hour is 1,800 updates, each a
server-sent event that htmx puts into the page: as many as in an hour of life, where one comes every two seconds, but as
fast as they come. What grows with the clock and not with updates is not seen. Printed 24 times, as many updates apart,
once the page has come to rest: its heap after a collection, its nodes and listeners, the server's resident memory and
open files; in the end, by how much each grows in a day's updates, by least squares over all but the first quarter. It
ends after so many minutes, whatever it has come to.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2

if TYPE_CHECKING:
    from tests.browser.driven import Tab

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PORT = 18_090
EVENTS_AN_HOUR = 1800  # one every two seconds
FASTER = 100
N_TURNS, WARM = 24, 100
REST_S = 3.0
HELD = ("JavaScript heap, MB", "nodes", "listeners", "server, MB", "open files")

OBJECTIVE = """
class Training:
    def __init__(self):
        self.n = 0

    def epoch(self):
        self.n += 1
        total = 0.0
        for n in range(1_500_000):
            total += n * 0.5
        return {"loss": 1 / self.n, "train_loss": 1 / self.n}

    def evidence(self):
        return {}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Busy:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training()
"""
STUDY = """
name: busy
objective: busy:Busy
dataset: none
metric: loss
direction: minimize
n_trials: 100000
max_epochs: 20
sampler: {name: random, seed: 1}
pruner: {name: none}
"""
# The real server, in a hurry: everything is looked at so many times as often.
HURRIED = f"""
from studies.cli import main
from studies.web import following, site
following.POLL_S /= {FASTER}
following.LOOK_S /= {FASTER}
site.FRESH_S /= {FASTER}
main()
"""


class Place:
    """A directory with a study, an embedded server and a dashboard of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("STUDIES_")}
        self.environment |= {"STUDIES_HOME": str(directory / "home"), "PYTHONPATH": str(ROOT)}
        (directory / "busy.py").write_text(OBJECTIVE)
        (directory / "busy.yaml").write_text(STUDY)

    def start(self, *arguments: str, before: tuple[str, ...] = ("-m", "studies")) -> subprocess.Popen[bytes]:
        """Start a command of `studies`."""
        return subprocess.Popen(
            [sys.executable, *before, *arguments], cwd=self.directory, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def url(self) -> str:
        """Return the storage's URL."""
        command = [sys.executable, "-m", "studies", "storage", "url"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@contextmanager
def made() -> Iterator[Place]:
    """Yield a place whose storage is up."""
    directory = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    directory.chmod(0o755)
    place = Place(directory)
    try:
        place.start("storage", "up").wait()
        yield place
    finally:
        place.start("storage", "down").wait()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[psutil.Process]:
    """Yield a process, which is ended in the end."""
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def until(what: str, found: Callable[[], object]) -> None:
    """Ask again and again until something is there."""
    for _ in range(6000):
        with suppress(OSError, psycopg2.Error):
            if found():
                return
        time.sleep(0.1)
    raise SystemExit(f"gave up waiting for {what}")


def asked(path: str) -> bytes:
    """Return a page of the dashboard."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=60) as answer:
        content: bytes = answer.read()
    return content


def n_epochs(url: str) -> int:
    """Return how many epochs have been reported."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trial_intermediate_values")
        [(n,)] = cursor.fetchall()
    return int(n)


class Viewers:
    """People who follow the study's page, each on a connection of their own."""

    def __init__(self, n: int) -> None:
        self._streams = [urllib.request.urlopen(f"http://127.0.0.1:{PORT}/studies/busy/events") for _ in range(n)]
        self.n_bytes = 0
        self._threads = [threading.Thread(target=self._read, args=(stream,)) for stream in self._streams]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: HTTPResponse) -> None:
        with suppress(OSError, ValueError, AttributeError, HTTPException):
            while piece := stream.read1(2**16):
                self.n_bytes += len(piece)

    def leave(self) -> None:
        """Close every page."""
        for stream in self._streams:
            with suppress(OSError):
                stream.fp.raw._sock.shutdown(2)  # it wakes the thread that reads
        for thread in self._threads:
            thread.join()


def window(url: str, server: psutil.Process, n_viewers: int, seconds: float) -> tuple[float, float]:
    """Return epochs a second, and the server's seconds of processor a second, while so many watch."""
    viewers = Viewers(n_viewers)
    time.sleep(2)
    before, began, used = n_epochs(url), time.perf_counter(), sum(server.cpu_times()[:2])
    time.sleep(seconds)
    took = time.perf_counter() - began
    found = (n_epochs(url) - before) / took, (sum(server.cpu_times()[:2]) - used) / took
    viewers.leave()
    return found


def watched(n_viewers: int, rounds: int, seconds: float) -> None:
    """Print what viewers cost the workers."""
    with made() as place, ExitStack() as started:
        started.enter_context(running(place.start("launch", "./busy.yaml", "--workers", "2")))
        server = started.enter_context(running(place.start("dashboard", "--port", str(PORT))))
        url = place.url()
        until("epochs", lambda: n_epochs(url) > 20)
        until("the dashboard", lambda: asked("/healthz"))
        found: dict[int, list[tuple[float, float]]] = {0: [], n_viewers: []}
        for turn in range(rounds):
            for n in (0, n_viewers) if turn % 2 else (n_viewers, 0):
                found[n].append(window(url, server, n, seconds))
    print("| viewers | epochs a second: median (each) | server, processor: median |\n|---|---|---|")
    for n, windows in found.items():
        rates, used = zip(*windows, strict=True)
        each = ", ".join(f"{rate:.2f}" for rate in rates)
        print(f"| {n} | {statistics.median(rates):.2f} ({each}) | {statistics.median(used):.1%} |")
    ratios = [there[0] / none[0] for none, there in zip(found[0], found[n_viewers], strict=True)]
    each = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"With {n_viewers} viewers / without: {statistics.median(ratios):.3f} ({each}); target > 0.95")


def watched_for_hours(hours: int, minutes: float) -> None:
    """Print what a page and its server hold in the updates of so many hours, and by how much that grows in a day."""
    from tests.browser.driven import chromium

    with made() as place, ExitStack() as started:
        launch = place.start("launch", "./busy.yaml", "--workers", "1", "--trials", "1")
        launch.wait()
        server = started.enter_context(running(place.start("dashboard", "--port", str(PORT), before=("-c", HURRIED))))
        until("the dashboard", lambda: asked("/healthz"))
        changes = started.enter_context(Changes(place.url()))
        profile = started.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        tab = started.enter_context(chromium(Path(profile)))
        tab.open(f"http://127.0.0.1:{PORT}/studies/busy")
        tab.wait_for("document.querySelectorAll('polyline').length")
        tab.run("n = 0; document.addEventListener('htmx:sseMessage', () => { n += 1 })")
        print(f"| updates | {' | '.join(HELD)} |\n|---|{'---|' * len(HELD)}")
        began, rows = time.monotonic(), []
        for turn in range(N_TURNS + 1):
            wanted = WARM + turn * hours * EVENTS_AN_HOUR // N_TURNS
            changes.goes_on.set()
            until("updates", lambda: tab.run("n") >= wanted)  # noqa: B023
            changes.goes_on.clear()
            rows.append((come_to_rest(tab), *held(tab, server)))
            print(f"| {rows[-1][0]:,} | {' | '.join(f'{value:,.6g}' for value in rows[-1][1:])} |", flush=True)
            if time.monotonic() - began > minutes * 60:
                break
        took = time.monotonic() - began
        print(f"{rows[-1][0]:,} updates in {took / 60:.1f} min; the study changed {changes.n:,} times.")
    print_growth(rows)


def come_to_rest(tab: Tab) -> int:
    """Wait until no update has come for a while: what is on its way is not what is left. Return how many there were."""
    n = -1
    while n != (n := tab.run("n")):
        time.sleep(REST_S)
    return n


def held(tab: Tab, server: psutil.Process) -> tuple[float, ...]:
    """Return what page and server hold, as HELD names it."""
    tab.call("HeapProfiler.collectGarbage")
    heap, counted = tab.call("Runtime.getHeapUsage")["usedSize"], tab.call("Memory.getDOMCounters")
    return (
        round(heap / 1e6, 3), counted["nodes"], counted["jsEventListeners"],
        round(server.memory_info().rss / 1e6, 1), server.num_fds(),
    )  # fmt: skip


def print_growth(rows: Sequence[Sequence[float]]) -> None:
    """Print by how much each thing grows in the updates of a day. rows: updates, and what was held after them."""
    late = rows[len(rows) // 4 :]
    if len(late) < 3:
        return
    updates, *columns = zip(*late, strict=True)
    for name, column in zip(HELD, columns, strict=True):
        slope = statistics.linear_regression(updates, column).slope * EVENTS_AN_HOUR * 24
        print(f"{name}: {slope:+.3g} a day, from {min(column):,.6g} to {max(column):,.6g}")


class Changes(threading.Thread):
    """Changes a value of the study's trial again and again, so that its page is never the same and never larger.

    n: how often it has. goes_on: while it is set.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.n, self.goes_on = 0, threading.Event()
        self._url, self._ended = url, threading.Event()

    def run(self) -> None:
        """Change it."""
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not self._ended.wait(1 / FASTER):
                if self.goes_on.is_set():
                    self.n += 1
                    value = 1 + self.n % 1000 / 1000
                    cursor.execute(
                        "UPDATE trial_intermediate_values SET intermediate_value = %s WHERE step = 3", (value,)
                    )

    def __enter__(self) -> Changes:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        self._ended.set()
        self.join()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--window", type=float, default=20.0)
    parser.add_argument("--hours", type=int)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    if given.hours is not None:
        watched_for_hours(given.hours, given.minutes)
    else:
        watched(given.viewers, given.rounds, given.window)


if __name__ == "__main__":
    main()
