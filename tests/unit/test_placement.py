"""Which GPUs a worker gets, and how many cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studies.errors import WrongInput
from studies.run import placement
from studies.run.placement import VISIBLE, allowed_cores, choose, groups_of, take, visible_gpus

# What the driver's own command prints, which stands here for a machine with such GPUs.
FOUR = """\
GPU 0: NVIDIA RTX A6000 (UUID: GPU-a)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-b)
GPU 2: NVIDIA RTX A6000 (UUID: GPU-c)
GPU 3: NVIDIA GeForce GT 710 (UUID: GPU-d)
"""
FOUR_IN_USE = "GPU-a, 40000, 100\nGPU-b, 300, 0\nGPU-c, 2, 97\nGPU-d, [N/A], [N/A]\n"
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a)
  MIG 3g.20gb     Device  0: (UUID: MIG-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-2)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-b)
"""
DIVIDED_IN_USE = "GPU-a, 0, [N/A]\nGPU-b, 30000, 50\n"


def driver(directory: Path, monkeypatch: pytest.MonkeyPatch, listed: str, in_use: str, code: int = 0) -> None:
    """Put a command in the place of the driver's."""
    (directory / "listed").write_text(listed)
    (directory / "in_use").write_text(in_use)
    command = directory / "nvidia-smi"
    command.write_text(f'#!/bin/sh\n[ "$1" = -L ] && cat {directory}/listed || cat {directory}/in_use\nexit {code}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("listed", "in_use", "expected"),
    [
        (FOUR, FOUR_IN_USE, ["GPU-b", "GPU-d", "GPU-c", "GPU-a"]),
        (FOUR, "", ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]),  # a driver that does not tell
        (DIVIDED, DIVIDED_IN_USE, ["MIG-1", "MIG-2", "GPU-b"]),
        ("No devices found.\n", "No devices were found\n", []),
    ],
)
def test_the_least_busy_gpu_comes_first(
    listed: str, in_use: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, listed, in_use)
    assert visible_gpus() == expected


def test_a_driver_that_fails_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, "GPU 0: made up (UUID: GPU-a)\n", "", code=9)
    assert visible_gpus() == []


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
    driver(tmp_path, monkeypatch, FOUR, FOUR_IN_USE)
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
    driver(tmp_path, monkeypatch, FOUR, FOUR_IN_USE)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert take(n) == device
    assert os.environ.get(VISIBLE) == visible


@pytest.mark.parametrize("gpus", ["0", "2,3", "GPU-c"])
def test_a_person_chooses(gpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, FOUR, FOUR_IN_USE)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    choose(gpus)
    assert take(1) == "cuda"
    assert os.environ[VISIBLE] == gpus.partition(",")[0]


@pytest.mark.parametrize(("gpus", "visible"), [("4", None), ("GPU-x", None), ("", None), ("1", "2,3")])
def test_a_choice_that_is_not_there_is_refused(
    gpus: str, visible: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, FOUR, FOUR_IN_USE)
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
