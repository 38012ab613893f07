"""The dashboard for everybody: axe-core on every page, light, dark and on a phone; and by keyboard alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.trial import TrialState

from studies.logs.log import Log
from studies.storage import Storage
from studies.study import get

from ..dashboards import PASSWORD, Browser, Dashboard, failed, is_ours, routes, started
from .axe import violations
from .driven import Tab
from .test_dashboard import log_in

WIDTHS = {"phone": (390, 844), "desk": (1200, 900)}


def lively(storage: Storage, home: Path) -> optuna.Study:
    """Put a study into the storage that has something for every part of its page, and something to say."""
    study = started(storage, n_trials=60)
    failed(study)
    seeded = random.Random(1)
    for n in range(30):
        curve = {epoch: seeded.random() / epoch for epoch in range(1, 6)}
        value, state = (
            min(curve.values()),
            TrialState.PRUNED if n % 3 else TrialState.COMPLETE,
        )
        params, space = {"x": seeded.random()}, {"x": optuna.distributions.FloatDistribution(0, 1)}
        given = {"params": params, "distributions": space, "intermediate_values": curve, "user_attrs": {"seed": n}}
        study.add_trial(optuna.trial.create_trial(state=state, value=value, **given))
    storage.ledger.enter(study._study_id, "cuda:0")
    (home / "logs" / "small").mkdir(parents=True)
    log = Log(home / "logs" / "small" / "trial-0.log")
    log.write(b"epoch 1\n" * 100)
    log.close("exited with 0")
    storage.ledger.request_stop(study._study_id, "the disk is `almost` full")
    return study


def pages(dashboard: Dashboard, browser: Browser) -> Iterator[str]:
    """Every whole page of ours, found by asking for every route; optuna-dashboard's own are not ours."""
    for method, path in routes(dashboard):
        if method == "GET" and is_ours(path):
            answer = browser.get(path)
            if answer.text.lower().startswith("<!doctype html>"):
                yield path


def look_at(tab: Tab, address: str) -> dict[str, list[str]]:
    """Return what axe finds on a page, by width and scheme."""
    tab.open(address)
    tab.wait_for(f"location.href === '{address}' && document.readyState === 'complete'")
    found = {}
    for name, (width, height) in WIDTHS.items():
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for scheme in ("light", "dark"):
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            if bad := violations(tab):
                found[f"{address} {name} {scheme}"] = bad
    return found


def test_axe_finds_nothing_serious_on_any_page(
    storage: Storage, dashboard: Dashboard, tab: Tab, tmp_path: Path
) -> None:
    lively(storage, tmp_path)
    edith = dashboard.browser()
    edith.log_in("edith")
    address = f"http://127.0.0.1:{dashboard.port}"
    found = look_at(tab, f"{address}/login")
    log_in(tab, address, "edith")
    tab.shows("edith (editor)")
    seen = [*pages(dashboard, edith), "/nowhere"]
    assert {
        "/",
        "/studies/small",
        "/studies/small/queue",
        "/studies/small/logs/trial-0",
        "/studies/small/report",
    } <= set(seen)
    for path in seen:
        found |= look_at(tab, address + path)
    assert found == {}


class Keyboard:
    """Somebody who has no mouse."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab

    def go_to(self, script: str) -> None:
        """Press Tab until the element that has the focus is the one meant, which must be seen to have it."""
        for _ in range(60):
            self._tab.press("Tab")
            if self._tab.run(f"(one => {script})(document.activeElement)"):
                seen = "(style => style.outlineStyle !== 'none' && style.outlineWidth !== '0px')"
                assert self._tab.run(f"{seen}(getComputedStyle(document.activeElement))"), script
                return
        raise AssertionError(f"No Tab leads to it: {script}")

    def choose(self, text: str) -> None:
        """Go to a link or button with this text, and press Enter."""
        self.go_to(f"one.innerText === '{text}'")
        self._tab.press("Enter")

    def type(self, text: str) -> None:
        for character in text:
            self._tab.press(character)


def test_a_keyboard_is_enough_to_log_in_stop_and_queue(storage: Storage, dashboard: Dashboard, tab: Tab) -> None:
    study = started(storage)
    keyboard = Keyboard(tab)
    tab.open(f"http://127.0.0.1:{dashboard.port}")
    tab.wait_for("document.activeElement.name === 'name'")  # the first field has the focus already
    keyboard.type("edith")
    keyboard.go_to("one.name === 'password'")
    keyboard.type(PASSWORD)
    tab.press("Enter")
    tab.shows("edith (editor)")
    keyboard.choose("small")
    tab.shows("0/5 trials")
    keyboard.choose("Stop the study")
    tab.shows("Every worker, on every machine, leaves")
    keyboard.choose("Stop")
    tab.shows("Workers leave after their current epoch.")
    assert storage.ledger.budget(study._study_id).stop
    keyboard.choose("Queue a trial")
    tab.shows("It runs next")
    keyboard.go_to("one.name === 'param:x'")
    tab.press("a", "Control")
    keyboard.type("0.25")
    tab.press("Enter")
    tab.shows("The trial is queued.")
    [waiting] = get(storage, "small").get_trials(states=[TrialState.WAITING])
    assert waiting.system_attrs["fixed_params"]["x"] == 0.25


def test_whoever_may_not_act_is_shown_nothing_to_press(storage: Storage, dashboard: Dashboard, tab: Tab) -> None:
    failed(started(storage))
    log_in(tab, f"http://127.0.0.1:{dashboard.port}", "vera")
    tab.shows("vera (viewer)")
    tab.click("small")
    tab.shows("1/5 trials")
    shown = "[...document.querySelectorAll('main a, main button')].filter(one => one.checkVisibility())"
    tab.wait_for(f"!{shown}.some(one => one.innerText.startsWith('Try again'))")  # once its style is there
    assert "Report" in tab.run(f"{shown}.map(one => one.innerText)")
