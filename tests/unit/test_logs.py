"""Which logs go with a study."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import psutil
import pytest

from studies.logs.noted import note_study
from studies.logs.places import for_trials, known_logs, logs_of_workers, studies_with_logs, trial_log, worker_logs
from studies.logs.removal import remove_logs

ENDED = next(pid for pid in range(10**6, 2 * 10**6) if not psutil.pid_exists(pid))
KEPT = {
    "small": ["trial-0.log", "trial-0.log.1", f"20260101-000000-{ENDED}/worker-0.log", "check-1-1.log"],
    "small@2": ["trial-0.log"],
    "small-confirm": ["trial-0.log", f"20260101-000000-{ENDED}/settings.sh"],
    "smaller": ["trial-0.log"],
}
UID, OTHER = "0123456789ab", "ba9876543210"
GROWS = f"20260101-000000-{os.getpid()}/worker-0.log"  # a launch that goes on


@pytest.mark.parametrize(
    ("study", "others", "left"),
    [
        ("small-confirm", ["small", "small@2"], {"small", "small@2", "smaller"}),
        ("small@2", ["small", "small-confirm"], {"small", "small-confirm", "smaller"}),
        ("small@2", ["smaller"], {"small-confirm", "smaller"}),
        ("small", ["smaller"], {"small@2", "small-confirm", "smaller"}),
        *((name, [], set(KEPT)) for name in ("../logs", "..", ".", "..@2", "..-confirm", "")),
        ("nothing", [], set(KEPT)),
    ],
)
def test_a_studys_directory_goes_and_others_stay(
    tmp_path: Path, study: str, others: Collection[str], left: set[str]
) -> None:
    lay_out(tmp_path, KEPT)
    (tmp_path / "settings.yaml").touch()
    remove_logs(tmp_path, study, UID, others)
    assert (tmp_path / "settings.yaml").exists()
    assert found(tmp_path) == {f"{name}/{log}" for name in left for log in KEPT[name]}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == left


def test_launches_stay_while_another_version_may_have_them(tmp_path: Path) -> None:
    lay_out(tmp_path, {"small": KEPT["small"]})
    remove_logs(tmp_path, "small", UID, ["small@2"])
    assert found(tmp_path) == {f"small/{log}" for log in KEPT["small"][2:]}


def test_a_launch_that_goes_on_keeps_its_logs(tmp_path: Path) -> None:
    lay_out(tmp_path, {"small": ["trial-0.log", GROWS]})
    remove_logs(tmp_path, "small", UID, [])
    assert found(tmp_path) == {f"small/{GROWS}"}


def test_studies_of_one_name_in_two_storages_have_their_own(tmp_path: Path) -> None:
    here, launches = tmp_path / "logs" / "small", [f"2026010{n}-000000-{ENDED}" for n in range(3)]
    lay_out(tmp_path, {"small": [*(f"{launch}/worker-0.log" for launch in launches), "check-1-1.log"]})
    note_study(here / launches[0], UID)
    note_study(here / launches[2], OTHER)  # and nobody knows whose the other is
    for uid in (UID, OTHER):
        trial_log(for_trials(here, uid), 7).write_text(uid)
    assert studies_with_logs(tmp_path, "small") == {UID, OTHER}
    assert worker_logs(tmp_path, "small", UID) == [here / launches[1] / "worker-0.log"]
    assert [log.split("/")[0] for log in known_logs(tmp_path, "small", UID)] == [launches[1], launches[0], "trial-7"]
    assert known_logs(tmp_path, "small", UID)["trial-7"].read_text() == UID
    remove_logs(tmp_path, "small", UID, ["smaller"])
    left = {f"{launches[1]}/worker-0.log", f"{launches[2]}/worker-0.log", "check-1-1.log", f"{OTHER}/trial-7.log"}
    assert {log.removeprefix("small/") for log in found(tmp_path) if not log.endswith("/study")} == left
    assert known_logs(tmp_path, "small", OTHER)["trial-7"].read_text() == OTHER
    assert for_trials(here, OTHER) == here / OTHER
    remove_logs(tmp_path, "small", OTHER, ["smaller"])
    assert not here.exists()


def test_a_version_goes_with_its_launches_alone(tmp_path: Path) -> None:
    launches = [f"2026010{n}-000000-{ENDED}" for n in range(2)]
    lay_out(tmp_path, {"small": [f"{launch}/worker-0.log" for launch in launches]})
    for launch, uid in zip(launches, (UID, OTHER), strict=True):
        note_study(tmp_path / "logs" / "small" / launch, uid)
    assert list(logs_of_workers(tmp_path, "small@2", OTHER)) == [f"{launches[1]}/worker-0"]
    remove_logs(tmp_path, "small@2", OTHER, ["small"])
    assert found(tmp_path) == {f"small/{launches[0]}/worker-0.log", f"small/{launches[0]}/study"}


def lay_out(home: Path, logs: dict[str, list[str]]) -> None:
    for log in (home / "logs" / study / name for study, names in logs.items() for name in names):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()


def found(home: Path) -> set[str]:
    logs = home / "logs"
    return {path.relative_to(logs).as_posix() for path in logs.rglob("*") if path.is_file()}
