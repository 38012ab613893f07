"""Which logs go with a study."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import psutil
import pytest

from studies.logs import remove_logs

ENDED = next(pid for pid in range(10**6, 2 * 10**6) if not psutil.pid_exists(pid))
KEPT = {
    "small": ["trial-0.log", "trial-0.log.1", f"20260101-000000-{ENDED}/worker-0.log", "check-1-1.log"],
    "small@2": ["trial-0.log"],
    "small-confirm": ["trial-0.log", f"20260101-000000-{ENDED}/settings.sh"],
    "smaller": ["trial-0.log"],
}
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
    remove_logs(tmp_path, study, others)
    assert (tmp_path / "settings.yaml").exists()
    assert found(tmp_path) == {f"{name}/{log}" for name in left for log in KEPT[name]}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == left


def test_launches_stay_while_another_version_may_have_them(tmp_path: Path) -> None:
    lay_out(tmp_path, {"small": KEPT["small"]})
    remove_logs(tmp_path, "small", ["small@2"])
    assert found(tmp_path) == {f"small/{log}" for log in KEPT["small"][2:]}


def test_a_launch_that_goes_on_keeps_its_logs(tmp_path: Path) -> None:
    lay_out(tmp_path, {"small": ["trial-0.log", GROWS]})
    remove_logs(tmp_path, "small", [])
    assert found(tmp_path) == {f"small/{GROWS}"}


def lay_out(home: Path, logs: dict[str, list[str]]) -> None:
    for log in (home / "logs" / study / name for study, names in logs.items() for name in names):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()


def found(home: Path) -> set[str]:
    logs = home / "logs"
    return {path.relative_to(logs).as_posix() for path in logs.rglob("*") if path.is_file()}
