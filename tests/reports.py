"""Studies made up by hand, of any size and fate, as `read` would give them."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from typing import Any

from studies.names import State
from studies.record.diagnose import judged
from studies.record.study import StudyRecord, TrialRecord, with_repeats
from studies.spec import StudySpec
from studies.spec.space import Space

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & | `code` *x* \x1b[31m\r\x07\u202e\nx"
START = datetime(2026, 1, 1)
DECLARED: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
    "batch_size": {"choices": [64, 128, 256], "default": 128},
    "hidden_layers": {"choices": [[128], [256, 128]], "default": [128]},
    "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
    "momentum": {"low": 0.0, "high": 0.95, "default": 0.9, "when": {"optimizer": ["sgd"]}},
    "dropout": {"low": 0.0, "high": 0.7, "default": 0.0},
}


def make_spec(**given: Any) -> StudySpec:
    known: dict[str, Any] = {
        "name": "made-up", "objective": "mine:Made", "dataset": "none", "metric": "balanced_accuracy",
        "direction": "maximize", "n_trials": 20, "max_epochs": 6,
    }  # fmt: skip
    if "metrics" in given:  # in place of these
        del known["metric"], known["direction"]
    return StudySpec.model_validate(known | given)


def make_trial(number: int, curve: list[float], **given: Any) -> TrialRecord:
    """Return a trial with these values after each epoch; `attributes` add to the usual ones."""
    best = max(range(len(curve)), key=lambda index: curve[index]) if curve else None
    history = [{"balanced_accuracy": value, "train_loss": 1.0 / (epoch + 1)} for epoch, value in enumerate(curve)]
    attributes = {
        "seed": 1000 + number, "seconds": 1.5 * len(curve), "history": history,
        "provenance": {"commit": "c0ffee", "dirty": False, "torch": "2.11", "device": "cpu", "host": "here"},
    } | given.pop("attributes", {})  # fmt: skip
    if best is not None:
        attributes |= {"epoch": best + 1, "metrics": attributes["history"][best]}
    state = State(given.pop("state", "complete"))
    known: dict[str, Any] = {
        "number": number, "state": state, "params": {"learning_rate": 1e-3}, "reason": None,
        "value": curve[best] if best is not None and state == State.COMPLETE else None,
        "epoch": None if best is None else best + 1, "curve": dict(enumerate(curve, start=1)),
        "started": START + timedelta(minutes=number), "ended": START + timedelta(minutes=number + 1),
        "continues": None, "continued_by": None, "attributes": attributes,
    }  # fmt: skip
    return TrialRecord(**(known | given))


def make_report(trials: list[TrialRecord], declared: dict[str, Any] | None = None, **given: Any) -> StudyRecord:
    data = {"name": "none", "sha256": "0" * 64, "summary": {"rows": 300, "classes": 10}}
    spec = make_spec(**given)
    trials = with_repeats(trials, spec.direction) if spec.repeats > 1 else trials
    return judged(StudyRecord(spec, data, trials, Space.declared(declared or DECLARED)))


def make_study(n: int, max_epochs: int = 6, seed: int = 0, classes: list[str] | None = None) -> StudyRecord:
    """Return a study as they come: a published setting first, a third pruned, some failed, one continued."""
    draw = random.Random(seed)
    space = Space.declared(DECLARED)
    trials = [_drawn(number, space, draw, max_epochs) for number in range(n)]
    return judged(StudyRecord(make_spec(n_trials=n, max_epochs=max_epochs), make_report([]).data, trials, space))


def make_evidence(draw: random.Random, quality: float, names: list[str] | None = None) -> dict[str, Any]:
    """Return a confusion matrix of a hundred rows a class, about this share of them on the diagonal."""
    names = names or [f"class {n}" for n in range(10)]
    counts = [[0] * len(names) for _ in names]
    for row, of_row in enumerate(counts):
        of_row[row] = right = round(100 * min(max(quality, 0.0), 1.0))
        of_row[draw.choice([n for n in range(len(names)) if n != row])] = 100 - right
    return {"classes": names, "confusion": counts, "pr_auc": [round(quality, 4)] * len(names)}


def _drawn(number: int, space: Space, draw: random.Random, max_epochs: int) -> TrialRecord:
    def suggest(name: str, domain: Any) -> Any:
        if hasattr(domain, "choices"):
            return draw.choice(domain.choices)
        if domain.log:
            return math.exp(draw.uniform(math.log(domain.low), math.log(domain.high)))
        return draw.uniform(domain.low, domain.high)

    params = space.suggest(suggest)
    rate = float(str(params["learning_rate"]))
    quality = 0.85 - 0.05 * abs(math.log10(rate) + 2.7) ** 1.5 - 0.1 * float(str(params["dropout"]))
    state, reason = "complete", None
    n_epochs = max_epochs
    if number % 3 == 2:
        state, n_epochs = "pruned", 1 + number % max(max_epochs - 1, 1)
    elif number % 17 == 16:
        state, reason, n_epochs = "fail", "nan", 1
    peak = 3 + number % max_epochs
    speed = 2000.0 + 10 * float(str(params["batch_size"]))
    curve, history = [], []
    for epoch in range(1, n_epochs + 1):
        value = quality * (1 - math.exp(-0.8 * epoch)) - 0.015 * max(epoch - peak, 0) + draw.gauss(0, 0.004)
        curve.append(value)
        loss = 2.3 * math.exp(-0.5 * epoch) + (1 - quality)
        history.append({
            "train_loss": loss, "balanced_accuracy": value, "examples_per_s": speed * draw.uniform(0.9, 1),
            "epoch_s": 40000 / speed,
        })  # fmt: skip
    attributes: dict[str, Any] = {
        "history": history, "seconds": n_epochs * 40000 / speed, "peak_memory_mib": 300.0 + speed / 100,
        "evidence": make_evidence(draw, max(curve)),
    }  # fmt: skip
    if number < 2:
        attributes["start_with"] = number
    if reason:
        attributes["detail"] = "train_loss is nan in epoch 2"
    return make_trial(number, curve, state=state, reason=reason, params=params, attributes=attributes)
