"""Which GPUs a worker gets, and how many cores."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from studies.errors import WrongInput
from studies.run import nvml, placement
from studies.run.placement import VISIBLE, allowed_cores, choose, groups_of, take, visible_gpus
from studies.run.provenance import device_name

STAND_IN = Path(__file__).parent.parent / "nvml"

NAME = "NVIDIA RTX A6000"


def gpu(
    uuid: str, used_mib: int | None = None, percent: int | None = None, parts: Sequence[str] = ()
) -> dict[str, Any]:
    """What the driver tells of a GPU."""
    memory = {} if used_mib is None else {"total_mib": 49140, "used_mib": used_mib}
    busy = {} if percent is None else {"percent": percent}
    divided = {"parts": [{"uuid": part, "name": f"{NAME} MIG 3g.20gb"} for part in parts]} if parts else {}
    return {"uuid": uuid, "name": NAME, **memory, **busy, **divided}


FOUR = [gpu("GPU-a", 40000, 100), gpu("GPU-b", 300, 0), gpu("GPU-c", 2, 97), gpu("GPU-d")]
NOT_TOLD = [gpu("GPU-a"), gpu("GPU-b"), gpu("GPU-c"), gpu("GPU-d")]
DIVIDED = [gpu("GPU-a", 0, None, ["MIG-1", "MIG-2"]), gpu("GPU-b", 30000, 50)]


@pytest.fixture(autouse=True)
def _no_driver_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.syspath_prepend(STAND_IN)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    nvml._library.cache_clear()
    yield
    nvml._library.cache_clear()
    sys.modules.pop("pynvml", None)


def driver(directory: Path, monkeypatch: pytest.MonkeyPatch, gpus: list[dict[str, Any]]) -> None:
    """Let a file stand for a machine with such GPUs."""
    (directory / "gpus.json").write_text(json.dumps(gpus))
    monkeypatch.setenv("NVML_GPUS", str(directory / "gpus.json"))


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (FOUR, ["GPU-b", "GPU-d", "GPU-c", "GPU-a"]),
        (NOT_TOLD, ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]),
        (DIVIDED, ["MIG-1", "MIG-2", "GPU-b"]),
        ([], []),
    ],
)
def test_the_least_busy_gpu_comes_first(
    gpus: list[dict[str, Any]], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, gpus)
    assert visible_gpus() == expected


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    assert visible_gpus() == []
    assert nvml.fullest("GPU-a") is None


@pytest.mark.parametrize(
    ("visible", "uuid"),
    [("GPU-b", "GPU-b"), ("GPU-c,GPU-a", "GPU-a"), ("GPU-d", None), ("GPU-x", None), ("0", None), ("", None)],
)
def test_the_fullest_gpu_of_a_worker(
    visible: str, uuid: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, FOUR)
    found = nvml.fullest(visible)
    assert (found and found.uuid) == uuid


def test_a_number_means_the_only_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, FOUR[1:2])
    found = nvml.fullest("0")
    assert found is not None
    assert (found.uuid, found.used_mib) == ("GPU-b", 300)
    monkeypatch.setenv(VISIBLE, "0")
    assert device_name("cuda") == NAME
    assert device_name("cpu") == "cpu"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("3,1", ["3", "1"]),  # the user's order
        (" 0, 2", ["0", "2"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),  # as CUDA reads it
        ("MIG-1", ["MIG-1"]),
    ],
)
def test_the_users_choice_is_kept(
    chosen: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, FOUR)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    ("gpus", "n", "expected"),
    [
        (["0", "1", "2", "3"], 1, ["0", "1", "2", "3"]),
        (["0", "1", "2", "3"], 2, ["0,1", "2,3"]),
        (["4", "5", "6"], 2, ["4,5"]),  # the last one has no partner
        (["GPU-a", "GPU-b"], 0, []),
        ([], 2, []),  # a machine without GPUs trains on its CPU
    ],
)
def test_gpus_are_given_in_groups(gpus: list[str], n: int, expected: list[str]) -> None:
    assert groups_of(gpus, n) == expected


@pytest.mark.parametrize(
    ("gpus", "sentence"),
    [
        (["0"], r"resources\.gpus_per_worker is 2, and this machine has 1 GPU"),
        (["MIG-1", "MIG-2"], r"resources\.gpus_per_worker is 2, and this machine's GPUs are divided \(MIG\)"),
    ],
)
def test_what_cannot_be_given_is_refused(gpus: list[str], sentence: str) -> None:
    with pytest.raises(WrongInput, match=sentence):
        groups_of(gpus, 2)


@pytest.mark.parametrize(
    ("n", "device", "visible"), [(0, "cpu", None), (1, "cuda", "GPU-b"), (2, "cuda", "GPU-b,GPU-d")]
)
def test_a_worker_takes_what_its_study_asks_for(
    n: int, device: str, visible: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, FOUR)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert take(n) == device
    assert os.environ.get(VISIBLE) == visible


@pytest.mark.parametrize("gpus", ["0", "2,3", "GPU-c"])
def test_a_person_chooses(gpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, FOUR)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    choose(gpus)
    assert take(1) == "cuda"
    assert os.environ[VISIBLE] == gpus.partition(",")[0]


@pytest.mark.parametrize(("gpus", "visible"), [("4", None), ("GPU-x", None), ("", None), ("1", "2,3")])
def test_a_choice_that_is_not_there_is_refused(
    gpus: str, visible: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, FOUR)
    if visible:
        monkeypatch.setenv(VISIBLE, visible)
    with pytest.raises(WrongInput, match=f"--gpu is {gpus}; this machine has "):
        choose(gpus)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, []),
        ({"cpu.max": "150000 100000\n"}, [1.5]),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, []),
        ({"cpu.cfs_quota_us": "400000\n", "cpu.cfs_period_us": "100000\n"}, [4.0]),
        ({}, []),
    ],
)
def test_a_control_groups_quota_is_read(files: dict[str, str], expected: list[float], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert list(placement._quota(tmp_path)) == expected


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= allowed_cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert allowed_cores() == 1
