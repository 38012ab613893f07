"""Workers that share a GPU, with the real command. The GPU is a file: NVML's stand-in says what processes claim of it.

The objective's memory runs out where the claims of all are more than the GPU has, as a real one's would.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import STUDY, Studies

TOTAL_MIB = 10_000
STAND_IN = Path(__file__).parent.parent / "nvml"

CLAIMS = """
import os
import time
from pathlib import Path

DEVICE = Path(os.environ.get("NVML_GPUS", "none"))
CONTEXT_MIB = 300

def claims():
    found = {}
    for file in DEVICE.parent.glob("GPU-a.*"):
        try:
            os.kill(int(file.suffix[1:]), 0)
            found[file.suffix] = int(file.read_text() or 0)
        except (OSError, ValueError):
            pass
    return found

class Training:
    def __init__(self, params, seed, device):
        self.params, self.seed, self.device, self.n = params, seed, device, 0

    def claim(self, mib):
        if self.device == "cuda":
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a"
            Path(f"{DEVICE.parent}/GPU-a.{os.getpid()}").write_text(str(mib))

    def epoch(self):
        self.claim(self.params["mib"])
        time.sleep(0.12)
        self.n += 1
        others = {pid: mib for pid, mib in claims().items() if pid != f".{os.getpid()}"}
        alone = all(mib <= CONTEXT_MIB for mib in others.values())
        try:
            if sum(claims().values()) > 10_000:
                raise RuntimeError("CUDA out of memory. Tried to allocate 6.00 GiB.")
            if self.params["fragile"] and not alone:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
        except RuntimeError:
            self.claim(CONTEXT_MIB)
            raise
        if self.n == 5:
            self.claim(CONTEXT_MIB)
        # Each trial is as fast as if it were alone, however busy this machine is.
        return {"loss": self.params["x"] + 1 / self.n + self.seed % 7, "examples_per_s": 100.0}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Claiming:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "x": {"low": 0.0, "high": 1.0, "default": 0.5},
        "mib": {"choices": [2000, 8000, 11000], "default": 2000},
        "fragile": {"choices": [False, True], "default": False},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params, seed, device)
"""


@pytest.fixture
def sharing(studies: Studies) -> Studies:
    (studies.directory / "claiming.py").write_text(CLAIMS)
    return studies


def write_study(studies: Studies, start_with: list[dict[str, Any]]) -> None:
    study = yaml.safe_load(STUDY) | {
        "name": "claiming",
        "objective": "claiming:Claiming",
        "n_trials": len(start_with),
        "space": {},
        "start_with": start_with,
        "resources": {"workers_per_gpu": "auto", "threads_per_worker": 1},
    }
    (studies.directory / "claiming.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def with_a_gpu(studies: Studies) -> None:
    device = studies.directory / "device"
    device.mkdir()
    gpus = [{"uuid": "GPU-a", "name": "NVIDIA RTX A6000", "total_mib": TOTAL_MIB, "used_mib": 0, "percent": 0}]
    (device / "gpus.json").write_text(json.dumps(gpus))
    studies.environment |= {"NVML_GPUS": str(device / "gpus.json"), "PYTHONPATH": str(STAND_IN)}
    studies.environment.pop("CUDA_VISIBLE_DEVICES", None)


def test_trials_share_a_gpu_and_what_fails_for_want_of_it_is_begun_again_alone(sharing: Studies) -> None:
    small, greedy, fragile = {"mib": 2000}, {"mib": 8000}, {"fragile": True}
    write_study(sharing, [small] * 14 + [fragile] + [small] * 9 + [greedy, small, {"mib": 11000}, small])
    with_a_gpu(sharing)
    done = sharing("launch", "claiming.yaml", "--workers", "3")
    assert "workers_per_gpu: auto: the first trial of each GPU runs alone; then up to 3 workers share." in done.stderr
    assert "GPU-a: 2 workers: a trial takes 2.0 GiB of 9.8 GiB" in done.stderr, done.stderr
    assert "The GPU failed in trial" in done.stderr
    assert "died" not in done.stderr

    trials = json.loads(sharing("export", "claiming", "--format", "json").stdout)["trials"]
    crowded = [trial for trial in trials if trial["reason"] == "crowded"]
    for trial in crowded:
        [again] = [other for other in trials if other.get("continues") == trial["number"]]
        assert again["params"] == trial["params"]
        assert again["attributes"]["seed"] == trial["attributes"]["seed"]
    assert {trial["params"]["fragile"] for trial in crowded} == {True, False}
    counted = [trial for trial in trials if trial["reason"] != "crowded"]
    assert len(counted) == 28
    failed = [trial for trial in counted if trial["state"] != "complete"]
    assert [(trial["params"]["mib"], trial["reason"]) for trial in failed] == [(11000, "out_of_memory")]

    assert re.search("  shared GPU: .*, GPU-a: [123] workers?[:,] ", sharing("status", "claiming").stdout)
    assert "as many as fit and make it faster" in sharing("show", "claiming.yaml").stdout


def test_without_a_gpu_workers_run_as_always_and_it_says_so(sharing: Studies) -> None:
    write_study(sharing, [{"x": 0.1}, {"x": 0.2}])
    sharing.environment["CUDA_VISIBLE_DEVICES"] = ""
    done = sharing("launch", "claiming.yaml", "--workers", "2")
    said = "workers_per_gpu: auto: no GPU is used here, so 2 workers run as always; each trains on the CPU."
    assert said in done.stderr
    assert "shared GPU" not in sharing("status", "claiming").stdout
