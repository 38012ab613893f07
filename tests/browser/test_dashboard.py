# ruff: noqa: F811 - a fixture is named where it is used
"""The dashboard in a real browser, on a real study that real workers run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from studies.storage import open_storage
from studies.study import get

from ..acceptance.conftest import Studies, make_studies, studies  # noqa: F401 - fixtures
from ..dashboards import PASSWORD
from ..waiting import PATIENCE_S
from .driven import Tab

PHONE = (390, 844)


@contextmanager
def dashboard(studies: Studies, *options: str) -> Iterator[str]:
    """Serve the dashboard as a person does; yield its address."""
    process = studies.start("dashboard", "--port", "0", *options)
    assert process.stderr is not None
    found = re.search(r"http://[\d.]+:\d+", process.stderr.readline())
    assert found
    try:
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def add_user(studies: Studies, name: str, role: str) -> None:
    command = [*studies.command, "dashboard", "user", "add", name, "--role", role]
    subprocess.run(
        command, cwd=studies.directory, env=studies.environment, input=PASSWORD + "\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip


def log_in(tab: Tab, address: str, name: str) -> None:
    tab.open(address)
    tab.shows("Log in")
    tab.fill("name", name)
    tab.fill("password", PASSWORD)
    tab.click("Log in")


def n_wide(tab: Tab, width: int, height: int, scheme: str) -> int:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    return int(tab.run("document.documentElement.scrollWidth"))


# Contrast of every text with what is behind it, by the formula of WCAG 2; and what has no name for a screen reader.
FAINT = """(() => {
  const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(x => x / 255)
    .map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  const behind = one => { for (; one; one = one.parentElement) { const color = getComputedStyle(one).backgroundColor;
    if (!color.endsWith(', 0)')) return color } return getComputedStyle(document.body).backgroundColor };
  return JSON.stringify([...document.querySelectorAll('body *')].filter(one => one.checkVisibility() &&
    [...one.childNodes].some(node => node.nodeType == 3 && node.textContent.trim()) &&
    !one.closest('svg, [disabled]')).filter(one => {
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
      return (a + .05) / (b + .05) < 4.5 }).map(one => one.outerHTML.slice(0, 80))) })()"""
NAMELESS = """JSON.stringify([
  ...document.querySelectorAll('a, button, input:not([type=hidden]), svg[role=img], progress')]
  .filter(one => !(one.innerText || one.getAttribute('aria-label') || one.labels?.length)).map(one => one.outerHTML))"""


def check_page(tab: Tab) -> None:
    """It fits a phone, can be read in the light and in the dark, and every control has a name."""
    tab.wait_for("document.readyState === 'complete'")  # the style may come a moment after the text
    for scheme in ("light", "dark"):
        assert n_wide(tab, *PHONE, scheme) <= PHONE[0], tab.run("location.href")
        with suppress(AssertionError):  # a style may come a moment after the text
            tab.wait_for(f"{FAINT} === '[]'")
        assert json.loads(tab.run(FAINT)) == [], (scheme, tab.run("location.href"))
    assert json.loads(tab.run(NAMELESS)) == []
    assert tab.run("document.querySelectorAll('h1').length") == 1
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_a_team_watches_a_study_stops_it_and_has_it_go_on(studies: Studies, tab: Tab) -> None:
    add_user(studies, "edith", "editor")
    launch = studies.start("launch", "./parabola.yaml", "--set", "space.seconds=0.6", "--trials", "40")
    with dashboard(studies) as address:
        log_in(tab, address, "edith")
        tab.shows("edith (editor)")
        tab.click("parabola")
        tab.shows("running")
        tab.wait_for("document.querySelectorAll('polyline').length >= 2")
        seen = int(tab.run("document.querySelectorAll('polyline').length"))
        tab.run("[...document.querySelectorAll('nav a')].find(one => one.innerText === 'Stop the study').focus()")
        tab.wait_for(f"document.querySelectorAll('polyline').length > {seen}")  # it grows, without a reload
        assert tab.run("document.activeElement.innerText") == "Stop the study"
        tab.shows("The best loss is")
        check_page(tab)
        tab.click("Stop the study")
        tab.shows("Every worker, on every machine, leaves")
        check_page(tab)
        tab.click("Stop")
        tab.shows("Workers leave after their current epoch.")
        tab.shows("stopped")
        launch.communicate(timeout=PATIENCE_S)
        with open_storage(studies.settings) as storage:
            assert storage.ledger.budget(get(storage, "parabola")._study_id).stop
        go_on(studies, tab)
        tab.open(f"{address}/")
        tab.click("optuna-dashboard")
        tab.shows("parabola")  # drawn by optuna-dashboard's own scripts
        assert tab.run("location.pathname") == "/dashboard"
    assert {re.match(r"(data:|blob:|https?://[\d.]+:\d+)", one)[0] for one in tab.asked} <= {address, "data:", "blob:"}  # type: ignore[index]
    assert tab.console == []


def go_on(studies: Studies, tab: Tab) -> None:
    """Queue a trial with a form, let the study go on, and see it run."""
    tab.click("Queue a trial")
    tab.fill("param:x", "2.25")
    check_page(tab)
    tab.click("Queue")
    tab.shows("The trial is queued.")
    tab.click("Continue the study")
    tab.shows("Workers that are still there go on")
    tab.click("Continue")
    tab.shows("The study is open for workers.")
    worker = studies.start("worker", "parabola")
    tab.wait_for("[...document.querySelectorAll('td')].some(one => one.innerText === '2.25')")  # among the best
    assert "Continue the study" not in tab.run("document.body.innerText")
    studies("stop", "parabola")
    tab.shows("Continue the study")
    assert "Stop the study" not in tab.run("document.body.innerText")
    worker.communicate(timeout=PATIENCE_S)


def test_a_viewer_sees_no_buttons_and_a_wrong_password_gets_nobody_in(studies: Studies, tab: Tab) -> None:
    add_user(studies, "vera", "viewer")
    studies("launch", "./parabola.yaml", "--trials", "2")
    with dashboard(studies) as address:
        log_in(tab, address, "nobody")
        tab.shows("The name or the password is wrong.")
        check_page(tab)
        log_in(tab, address, "vera")
        tab.shows("finished")
        check_page(tab)
        tab.click("parabola")
        tab.shows("2/2 trials")
        assert "Delete the study" not in tab.run("document.body.innerText")
        tab.click("Report")
        tab.wait_for("document.documentElement.dataset.figures > 0")  # its scripts run, in a sandbox
        assert tab.run("window.origin") == "null"
