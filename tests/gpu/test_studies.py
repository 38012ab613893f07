"""Whole studies on a GPU with the real command: several workers on one, memory that runs out, a GPU that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from studies.run import nvml
from studies.run.placement import visible_gpus

from ..acceptance.conftest import STUDY, Studies, make_studies

__all__ = ["make_studies"]

TAKING = """
import torch

class Training:
    def __init__(self, params, seed, device):
        self.params, self.device, self.n = params, device, 0
        torch.manual_seed(seed)
        total = torch.cuda.get_device_properties(0).total_memory
        self.taken = torch.empty(int(total * params["share"]), dtype=torch.uint8, device=device)
        self.matrix = torch.randn(4096, 4096, device=device)

    def epoch(self):
        self.n += 1
        for _ in range(100):
            self.matrix = (self.matrix @ self.matrix).tanh()
        if self.params["fails"]:
            torch.zeros(3, device=self.device)[torch.tensor([7], device=self.device)] += 1
        return {"loss": float(self.matrix.abs().mean()) + 1 / self.n, "examples_per_s": 1e3 * self.params["x"]}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Taking:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "x": {"low": 1.0, "high": 2.0, "default": 1.5},
        "share": {"low": 0.0, "high": 2.0, "default": 0.02},
        "fails": {"choices": [False, True], "default": False},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        assert device == "cuda"
        return Training(params, seed, device)
"""


@pytest.fixture
def studies(make_studies: Callable[[str], Studies]) -> Studies:
    """A warning is no error: a machine with a GPU has other versions of what is installed."""
    made = make_studies("plain")
    made.command = [sys.executable, "-m", "studies"]
    return made


def write(studies: Studies, start_with: list[dict[str, Any]], **resources: Any) -> None:
    (studies.directory / "taking.py").write_text(TAKING)
    study = yaml.safe_load(STUDY) | {
        "name": "taking", "objective": "taking:Taking", "n_trials": len(start_with), "space": {},
        "start_with": start_with, "resources": {"threads_per_worker": 1, **resources},
    }  # fmt: skip
    (studies.directory / "taking.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def trials_of(studies: Studies, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(studies("export", name, "--format", "json").stdout)["trials"]
    return found


def test_uuids_mean_the_same_to_the_driver_and_to_cuda() -> None:
    ask = "import torch; p = torch.cuda.get_device_properties(0); print(p.uuid, p.name, sep='|')"
    for uuid in visible_gpus()[:1]:
        environment = {"CUDA_VISIBLE_DEVICES": uuid, "PATH": "/usr/bin:/bin"}
        said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=environment)
        assert uuid.removeprefix("GPU-") in said.stdout
        gpu = nvml.fullest(uuid)
        assert gpu is not None
        assert gpu.name in said.stdout
        assert 0 <= gpu.used_mib < gpu.total_mib


@pytest.mark.parametrize("per_gpu", [1, 2])
def test_a_study_that_ships_trains_on_the_gpu(studies: Studies, per_gpu: int) -> None:
    changes = ("--trials", "4", "--set", "max_epochs=2", "--set", f"resources.workers_per_gpu={per_gpu}")
    studies("launch", "cifar10-cnn", "--dataset", "cifar10-shapes", "--workers", str(per_gpu), *changes)
    trials = [trial for trial in trials_of(studies, "cifar10-cnn") if trial["continued_by"] is None]
    assert len(trials) == 4
    assert {trial["attributes"]["provenance"]["device"] for trial in trials} <= {gpu.name for gpu in nvml.gpus()}
    assert all(trial["attributes"]["peak_memory_mib"] > 1 for trial in trials)


def test_the_same_seed_gives_the_same_trial_alone_and_beside_another(studies: Studies) -> None:
    found = []
    for version, workers in enumerate((1, 2)):
        name = f"digits-{version}"
        changes = ("--trials", "2", "--set", "max_epochs=2", "--set", f"name={name}", "--set", "sampler={name: random}")
        resources = ("--set", f"resources={{gpus_per_worker: 1, workers_per_gpu: {workers}}}")
        studies("launch", "mnist-target", "--workers", str(workers), *changes, *resources)
        found.append({str(trial["params"]): trial["value"] for trial in trials_of(studies, name)})
    assert found[0] == found[1]


def test_workers_pack_and_what_fails_for_want_of_the_gpu_is_begun_again_alone(studies: Studies) -> None:
    small, greedy, fails = {"share": 0.02}, {"share": 0.6}, {"fails": True}
    queued = [small] * 8 + [greedy] * 2 + [small] * 3 + [fails] + [small] * 3 + [{"share": 1.5}]
    write(studies, queued, workers_per_gpu=2)
    done = studies("launch", "taking.yaml", "--workers", "2")
    assert "The GPU failed in trial" in done.stderr
    assert "died" not in done.stderr
    trials = trials_of(studies, "taking")
    counted = [trial for trial in trials if trial["continued_by"] is None]
    assert len(counted) == len(queued)
    assert any(trial["reason"] == "crowded" and trial["params"]["share"] == 0.6 for trial in trials)
    ends = {(trial["params"]["share"], trial["params"]["fails"]): trial["reason"] for trial in counted}
    assert ends == {(0.02, False): None, (0.6, False): None, (0.02, True): "exception", (1.5, False): "out_of_memory"}


def test_how_many_share_is_decided_by_what_is_measured(studies: Studies) -> None:
    write(studies, [{"share": 0.02}] * 12, workers_per_gpu="auto")
    done = studies("launch", "taking.yaml", "--workers", "3")
    assert "the first trial of each GPU runs alone; then up to 3 workers share" in done.stderr
    assert "2 workers: a trial takes " in done.stderr
    assert all(trial["state"] == "complete" for trial in trials_of(studies, "taking"))
    assert "shared GPU: " in studies("status", "taking").stdout


def test_an_objective_that_uses_a_gpu_at_its_import_is_refused(studies: Studies) -> None:
    write(studies, [{}])
    module = studies.directory / "taking.py"
    module.write_text(module.read_text() + "\nEARLY = torch.zeros(1, device='cuda')\n")
    said = studies("launch", "taking.yaml", expect=2).stderr
    assert "taking:Taking uses a GPU while it is imported" in said


def test_an_objective_may_ask_at_its_import_whether_there_is_a_gpu(studies: Studies) -> None:
    write(studies, [{}])
    module = studies.directory / "taking.py"
    module.write_text(module.read_text() + "\nDEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'\n")
    studies("launch", "taking.yaml")
    assert [trial["state"] for trial in trials_of(studies, "taking")] == ["complete"]


def test_a_model_is_trained_on_the_gpu_and_asked_on_either(studies: Studies, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = ("--set", "resources={gpus_per_worker: 1}")
    studies("launch", "mnist-target", "--trials", "1", "--set", "max_epochs=2", *resources)
    studies("train", "mnist-target", "-o", "model")
    metrics = json.loads(Path(studies.directory / "model" / "metrics.json").read_text())
    assert metrics["trial"]["repeated"] is True
