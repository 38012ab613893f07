"""The parts of `benchmarks/gpu.py`. Each is given `tell`, which writes a row at once, and what to measure on."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from objectives import cifar10_cnn, meli_cnn, meli_mlp, mnist_target, pmsm_temperature
from studies.run import nvml
from studies.spec.space import Space

Tell = Callable[..., None]
# Three blocks of two, mirrored and moved pictures, one cycle of the rate.
CIFAR = {
    "widths": [64, 128, 256], "convolutions": 2, "augment": "flip+crop", "schedule": "one_cycle", "batch_size": 512,
    "learning_rate": 5e-3, "weight_decay": 0.1, "dropout": 0.3,
}  # fmt: skip
CIFAR_EPOCHS, CIFAR_SEEDS = 90, 2
ROUNDS = 3
N_BATCHES = 100


def device(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Say what is measured on."""
    name = torch.cuda.get_device_name(0) if device == "cuda" else platform.processor() or platform.machine()
    gpus = nvml.gpus()
    tell(
        name=name,
        memory_mib=gpus[0].total_mib if gpus else None,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
    )


def objectives(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Run every objective's contract there."""
    _tests(tell, "tests/gpu/test_objectives.py", "-n", "4")


def studies(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Run whole studies there, one test after the other: some take most of the memory."""
    _tests(tell, "tests/gpu/test_studies.py")


def _tests(tell: Tell, path: str, *options: str) -> None:
    # A warning is no error: the machine has other versions of what is installed.
    command = [sys.executable, "-m", "pytest", path, *options, "-v", "--tb=short", "-o", "filterwarnings=default"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0, "ERROR": 0}
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := re.search(r"(PASSED|FAILED|SKIPPED|ERROR)\b", line):
                test = re.search(r"\S+::\S+", line)
                if "%" in line and test is not None:
                    counts[found[1]] += 1
                    if found[1] in ("FAILED", "ERROR"):
                        tell(result=found[1], test=test[0].rpartition("/")[2])
    tell(result=", ".join(f"{n} {word.lower()}" for word, n in counts.items()), test=path)


def cifar(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Train the three-block net; tell each seed's accuracy as it rises, and the test accuracy at the end."""
    n_epochs = 1 if quick else CIFAR_EPOCHS
    with tempfile.TemporaryDirectory() as cache:
        data = cifar10_cnn.objective.prepare(cifar, Path(os.environ.get("STUDIES_DATA", "data")), Path(cache))
        given = CIFAR | {"epochs": n_epochs} | ({"widths": [16, 32]} if quick else {})
        params = Space.declared(cifar10_cnn.objective.space).completed(given)
        for seed in range(1 if quick else CIFAR_SEEDS):
            training = cifar10_cnn.objective.start(params, data, seed=seed, device=device)
            began, best = time.perf_counter(), 0.0
            for epoch in range(1, n_epochs + 1):
                metrics = training.epoch()
                best = max(best, metrics["accuracy"])
                if epoch % 20 == 0 or epoch == n_epochs:
                    row = {"dataset": Path(cifar).name, "seed": seed, "epoch": epoch, "accuracy": metrics["accuracy"]}
                    seconds = round(time.perf_counter() - began, 1)
                    tell(**row, best=best, seconds=seconds, examples_per_s=metrics["examples_per_s"])
            tell(dataset=Path(cifar).name, seed=seed, epoch=n_epochs, test_accuracy=training.test()["accuracy"])


def workers(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Launch the same study with one worker on the GPU, with two, and with as many as it finds worth it."""
    n_trials, n_epochs = (2, 1) if quick else (12, 10)
    for name, per_gpu, n_workers in (("one", "1", 1), ("two", "2", 2), ("auto", "auto", 6)):
        changes = [f"name=gpu-{name}", f"max_epochs={n_epochs}", "sampler={name: random}", "pruner={name: none}"]
        changes += [f"resources={{gpus_per_worker: {int(device == 'cuda')}, workers_per_gpu: {per_gpu}}}"]
        command = [sys.executable, "-m", "studies", "launch", "cifar10-cnn", "--dataset", "cifar10-shapes"]
        command += ["--trials", str(n_trials), "--workers", str(n_workers)]
        command += [word for change in changes for word in ("--set", change)]
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - began
        print(done.stderr, flush=True)
        said = [line for line in done.stderr.splitlines() if line.startswith(("GPU", "workers_per_gpu"))]
        speeds = _speeds(f"gpu-{name}") if done.returncode == 0 else []
        tell(
            workers_per_gpu=per_gpu,
            exit_code=done.returncode,
            trials=n_trials,
            seconds=round(seconds, 1),
            examples_per_s_of_each=statistics.median(speeds) if speeds else None,
            decided=said[-1] if said else None,
        )


def _speeds(study: str) -> list[float]:
    command = [sys.executable, "-m", "studies", "export", study, "--format", "json"]
    trials = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["trials"]
    return [epoch["examples_per_s"] for trial in trials for epoch in trial["curve"] if "examples_per_s" in epoch]


def speeds(tell: Tell, device: str, quick: bool, cifar: str) -> None:
    """Measure each objective beside its authors' loop on the same device: the two take turns."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for case in (_pictures, _titles, _digits_and_motor, _lyrics):
            case(tell, device, 1 if quick else ROUNDS, Path(name))


def _told(tell: Tell, case: str, turns: list[tuple[float, float]]) -> None:
    """Tell the medians of turns: theirs and ours, in examples a second."""
    ratios = [ours / theirs for theirs, ours in turns]
    theirs, ours = (statistics.median(each) for each in zip(*turns, strict=True))
    tell(case=case, theirs=theirs, ours=ours, ratio=statistics.median(ratios), least=min(ratios), most=max(ratios))


def _pictures(tell: Tell, device: str, n_rounds: int, cache: Path) -> None:
    from benchmarks.training_images import ours, plain

    data = cifar10_cnn.objective.prepare("cifar10-shapes", cache, cache)
    ours(data, 1, 0, device)  # warm up
    turns = [(plain(data, 1, seed, device)[0], ours(data, 2, seed, device)[0]) for seed in range(n_rounds)]
    _told(tell, "cifar10_cnn, published net, batch 512", turns)


def _titles(tell: Tell, device: str, n_rounds: int, cache: Path) -> None:
    from benchmarks.training_titles import CNN, MLP, Authors, AuthorsCnn, AuthorsMlp, Ours, as_json_lines, completed

    data, lines = meli_mlp.objective.prepare("pricerunner", cache, cache), cache / "train.jsonl.gz"
    as_json_lines(data, lines)
    for objective, kind, given in ((meli_mlp.objective, AuthorsMlp, MLP), (meli_cnn.objective, AuthorsCnn, CNN)):
        for frozen in (False, True):
            params = completed(objective, given, freeze_embeddings=frozen, batch_size=256)
            theirs = Authors(kind, params, data, lines, device=device)
            ours = Ours(objective, params, data, device)
            for loop in (theirs, ours):
                loop.train(3)
            turns = [(_rate(theirs, N_BATCHES), _rate(ours, N_BATCHES)) for _ in range(n_rounds)]
            _told(tell, f"{type(objective).__module__}, {'frozen' if frozen else 'trained'}, batch 256", turns)


def _digits_and_motor(tell: Tell, device: str, n_rounds: int, cache: Path) -> None:
    from benchmarks.training import DIGITS, MOTOR, timed

    digits = mnist_target.objective.prepare("mnist-5k", cache, cache)
    motor = pmsm_temperature.objective.prepare("simulated", cache, cache)
    for objective, data, given, batch_size in (
        (mnist_target.objective, digits, DIGITS, 100),
        (pmsm_temperature.objective, motor, MOTOR, 2048),
    ):
        params = {**given, "batch_size": batch_size}
        timed("ours", objective, data, params, 1, 0, device)  # warm up
        turns = []
        for seed in range(n_rounds):
            theirs, ours = (timed(loop, objective, data, params, 1, seed, device)[0] for loop in ("loader", "ours"))
            turns.append((theirs, ours))
        _told(tell, f"{type(objective).__module__}, batch {batch_size}", turns)


def _lyrics(tell: Tell, device: str, n_rounds: int, cache: Path) -> None:
    from benchmarks.training_lyrics import Ours, PlainLoop, completed
    from objectives import lyrics_lstm  # the last: its import slows down every product of matrices after it

    data = lyrics_lstm.objective.prepare("sonnets", cache, cache)
    params = completed({"hidden_size": 300, "batch_size": 20})
    theirs, ours = PlainLoop(params, data, 0, device), Ours(params, data, 0, device)
    for loop in (theirs, ours):
        loop.train(3)
    turns = [(_rate(theirs, N_BATCHES), _rate(ours, N_BATCHES)) for _ in range(n_rounds)]
    _told(tell, "lyrics_lstm, 300 wide, batch 20", turns)


def _rate(loop: Any, n_batches: int) -> float:
    """Return examples a second of the wall clock. Both loops have read a loss by the end, and so waited for the GPU."""
    began = time.perf_counter()
    return float(loop.train(n_batches) / (time.perf_counter() - began))


PARTS_BY_NAME = {part.__name__: part for part in (device, objectives, studies, cifar, workers, speeds)}
