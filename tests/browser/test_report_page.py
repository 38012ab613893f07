"""The report's page in a real browser: drawn, without an error, and without a request to anywhere."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from studies.record.study import StudyRecord
from studies.report.page import render
from studies.report.sections import document

from ..reports import HOSTILE, make_evidence, make_report, make_study, make_trial
from ..waiting import PATIENCE_S

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
         "--disable-gpu", "--no-first-run", "--no-sandbox", "--headless",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")  # fmt: skip


@dataclass
class Opened:
    """A page after its scripts ran: its elements, what the console said, and every address that it asked for."""

    dom: str
    console: list[str]
    requests: list[str]


def open_page(page: str, directory: Path) -> Opened:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    assert browser, "the page is tested in a real browser; on Debian: apt-get install chromium"
    file, log = directory / "report.html", directory / "net.json"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={directory / 'profile'}", "--window-size=1200,900",
         "--enable-logging=stderr", f"--log-net-log={log}", "--virtual-time-budget=20000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    events = json.loads(log.read_text())["events"]
    given = [event["params"] for event in events if "initiator" in event.get("params", {})]
    # A request of the browser's own has "not an origin"; it reaches nobody either, for no name resolves.
    asked = {str(params["url"]) for params in given if params["initiator"] != "not an origin"}
    return Opened(done.stdout, console, sorted(asked))


def n_figures(report: StudyRecord) -> int:
    return sum(len(section.figures) for section in document(report).sections)


def hostile() -> StudyRecord:
    """Return a study whose parameters, choices and classes are markup, with an interaction to be drawn."""
    texts = [HOSTILE, "<b>bold</b>"]
    declared = {name: {"choices": texts, "default": HOSTILE} for name in texts}
    evidence = make_evidence(random.Random(0), 0.7, [*texts, "<svg onload=alert(3)>", "$x$ &amp; \u202e"])
    trials = [
        make_trial(
            n,
            [0.3, 0.5 + 0.3 * (n % 2 == n // 2 % 2) + n / 1000],
            params={texts[0]: texts[n % 2], texts[1]: texts[n // 2 % 2]},
            attributes={"evidence": evidence},
        )
        for n in range(60)
    ]
    return make_report(trials, declared)


def grouped() -> StudyRecord:
    """Return a study of a regression by sessions, whose names are markup."""
    groups = {"by": HOSTILE, "metric": "<i>r2</i>", "values": [[HOSTILE, 0.5], ["<b>2</b>", -0.5]]}
    return make_report([make_trial(0, [0.5, 0.6], attributes={"evidence": {"groups": groups}})])


@pytest.mark.parametrize(
    "report",
    [
        make_study(60),
        make_study(5000, max_epochs=20),
        hostile(),
        grouped(),
        make_report([make_trial(0, [0.5])]),
        make_report([]),
    ],
    ids=["usual", "large", "hostile", "grouped", "single", "empty"],
)
def test_in_a_browser(report: StudyRecord, tmp_path: Path) -> None:
    opened = open_page(render(report, "html"), tmp_path)
    assert opened.console == []
    assert opened.requests == []
    drawn = re.findall(r'id="figure-\d+"', opened.dom)
    assert f'data-figures="{n_figures(report)}"' in opened.dom
    assert len(drawn) == n_figures(report)
    pieces = re.split(r'id="figure-\d+"', opened.dom[: opened.dom.index("</main>")])[1:]
    for piece in pieces:
        assert 'class="main-svg"' in piece
        assert re.search(r'class="(point|js-line|hm)\b', piece)
    page = opened.dom[opened.dom.index("<main>") : opened.dom.index("</main>")]
    assert not re.search(r"<img|<b>|<i>|<svg onload|font-weight: bold|font-style: italic", page)


def test_the_hostile_study_has_every_kind_of_figure() -> None:
    figures = [figure for section in document(hostile()).sections for figure in section.figures]
    assert {trace["type"] for figure in figures for trace in figure.data} == {"scatter", "bar", "heatmap"}
    assert sum(trace["type"] == "heatmap" for figure in figures for trace in figure.data) == 2


def test_a_page_that_asks_for_something_or_fails_would_be_noticed(tmp_path: Path) -> None:
    page = render(make_report([make_trial(0, [0.5])]), "html")
    page = page.replace("</main>", '<img src="http://127.0.0.1:9/image.png"><script>nowhere.asked()</script></main>')
    assert len(open_page(page, tmp_path).console) >= 2
    (tmp_path / "open").mkdir()
    without_policy = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    assert "http://127.0.0.1:9/image.png" in open_page(without_policy, tmp_path / "open").requests
