"""Verdicts from curves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from studies.names import ENDED, State
from studies.record.diagnose import diagnose, first_verdict
from studies.record.study import TrialRecord
from studies.record.verdicts import Verdict, VerdictKind, kind_of, overfits_after

from ..reports import make_report, make_spec, make_trial

GOOD = [0.3, 0.5, 0.6, 0.65, 0.66, 0.66]


def with_losses(number: int, curve: list[float], losses: list[float], **given: Any) -> TrialRecord:
    history = [{"balanced_accuracy": v, "train_loss": loss} for v, loss in zip(curve, losses, strict=True)]
    return make_trial(number, curve, attributes={"history": history}, **given)


def verdict(trial: TrialRecord, **given: Any) -> Verdict:
    """Return what is said of the trial beside a good one."""
    good = with_losses(100, GOOD, [2.0, 1.5, 1.0, 0.8, 0.7, 0.6])
    return diagnose(make_report([trial, good], **given))[trial.number]


@pytest.mark.parametrize("metric", ["balanced_accuracy", "train_loss"])
@pytest.mark.parametrize("kept", [0, 2, 3])
def test_the_course_of_a_metric_is_what_all_epochs_have_of_it(metric: str, kept: int) -> None:
    trial = with_losses(0, [0.3, 0.5, 0.6], [2.0, 1.5, 1.0])
    trial = replace(trial, attributes=trial.attributes | {"history": trial.history[:kept]})
    found = trial.course("train_loss", metric)
    expected = [(at, seen["train_loss"]) for at, seen in trial.epochs(metric).items() if "train_loss" in seen]
    assert list(found.items()) == expected
    assert expected or (kept, metric) == (0, "balanced_accuracy")


def test_ok() -> None:
    assert verdict(with_losses(0, GOOD, [2.0, 1.5, 1.0, 0.8, 0.7, 0.6])) == Verdict("ok")


def test_overfits() -> None:
    found = verdict(with_losses(0, [0.3, 0.5, 0.6, 0.5, 0.45, 0.4], [2.0, 1.5, 1.0, 0.6, 0.3, 0.1]))
    assert found.word == "overfits after epoch 3"
    assert "0.6000 in epoch 3 and 0.4000 in epoch 6, while train_loss fell from 1.0000 to 0.1000" in found.evidence
    assert found.advice


def test_worse_on_both_sides_is_not_overfitting() -> None:
    found = verdict(with_losses(0, [0.3, 0.5, 0.6, 0.5, 0.45, 0.4], [2.0, 1.5, 1.0, 1.1, 1.2, 1.3]))
    assert not found.word.startswith("overfits")


def test_wobble_is_not_overfitting() -> None:
    assert verdict(make_trial(0, [0.3, 0.5, 0.66, 0.65, 0.655, 0.658])).word == "ok"


def test_diverged() -> None:
    nan = make_trial(0, [0.2], state="fail", reason="nan", attributes={"detail": "train_loss is nan in epoch 2"})
    assert verdict(nan) == Verdict(
        "diverged", "train_loss is nan in epoch 2", "a lower learning_rate, or gradient clipping"
    )
    assert verdict(with_losses(0, [0.3, 0.2, 0.15, 0.15], [2.0, 1.9, 50.0, 400.0])).word == "diverged"


def test_no_better_than_the_baseline() -> None:
    found = verdict(with_losses(0, [0.1, 0.1, 0.11], [2.3, 2.3, 2.3]))
    assert found.word == "no better than the baseline"
    assert "a trivial answer scores 0.1000" in found.evidence


def test_the_baseline_of_a_metric_without_one_is_unknown() -> None:
    assert verdict(make_trial(0, [0.1, 0.1, 0.1]), metric="accuracy").word == "learned little"


def test_still_improving_at_max_epochs() -> None:
    rising = make_trial(0, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert verdict(rising).word == "still improving at max_epochs"
    assert verdict(rising, max_epochs=12).word == "ok"


def test_underfits() -> None:
    found = verdict(with_losses(0, [0.2, 0.22, 0.23, 0.24, 0.24, 0.24], [2.2, 2.1, 2.1, 2.0, 2.0, 2.0]))
    assert found.word == "underfits"
    assert "in epoch 6 train_loss is 2.0000 and the best trial's 0.6000" in found.evidence


def test_a_pruned_trial_is_compared_at_its_own_last_epoch() -> None:
    pruned = with_losses(0, [0.28, 0.48, 0.58], [2.1, 1.6, 1.1], state="pruned")
    assert verdict(pruned).word == "ok"


def test_short_and_missing_curves() -> None:
    assert verdict(make_trial(0, [0.4, 0.5])).word == "too short to tell"
    missing = verdict(make_trial(0, [], state="fail", reason="out_of_memory"))
    assert missing.word == "no curve"
    assert "out_of_memory" in missing.evidence


def test_running_trials_have_no_verdict() -> None:
    assert diagnose(make_report([make_trial(0, [0.3], state="running")])) == {}


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_losses_are_judged_like_accuracies_whatever_their_scale(scale: float) -> None:
    good = [scale * (1 - value) for value in GOOD]
    bad = [scale * value for value in (0.7, 0.5, 0.4, 0.5, 0.55, 0.6)]
    trials = [make_trial(0, bad), make_trial(1, good)]
    found = diagnose(make_report(trials, metric="loss", direction="minimize"))
    assert [found[0].word, found[1].word] == ["overfits after epoch 3", "ok"]


def answering(confusion: list[list[int]], curve: list[float]) -> TrialRecord:
    names = [f"class {n}" for n in range(len(confusion))]
    evidence = {"classes": names, "confusion": confusion}
    history = [{"balanced_accuracy": value, "accuracy": 0.9, "train_loss": 0.3} for value in curve]
    return make_trial(0, curve, attributes={"history": history, "evidence": evidence})


def test_answers_one_class() -> None:
    found = verdict(answering([[899, 1], [100, 0]], [0.5]))
    assert found.word == "answers one class"
    assert "99.9% of its answers are 'class 0', which 90.0% of the rows are" in found.evidence
    assert "of the other class it finds 0.0%" in found.evidence
    many = [[30 - (n % 5 == 0), 0, 0] for n in range(3)]
    assert verdict(answering(many, [0.34, 0.34, 0.34])).word == "answers one class"


def test_a_rare_class_that_is_found_is_not_one_class() -> None:
    assert verdict(answering([[990, 0], [2, 8]], [0.8, 0.85, 0.9])).word != "answers one class"
    assert verdict(answering([[900, 0], [80, 20]], [0.55, 0.6, 0.6])).word != "answers one class"


def test_a_trials_own_baseline_counts() -> None:
    history = [{"nats": 7.0, "train_loss": 7.0, "baseline_nats": 6.5} for _ in range(3)]
    trial = make_trial(0, [7.0, 7.0, 7.0], attributes={"history": history})
    found = diagnose(make_report([trial], metric="nats", direction="minimize"))[0]
    assert found.word == "no better than the baseline"
    assert "a trivial answer scores 6.5000" in found.evidence


def test_a_first_verdict_is_that_of_a_study_of_one_unfinished_trial() -> None:
    spec = make_report([]).spec
    rising, useless = make_trial(0, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), make_trial(0, [0.1, 0.1, 0.1], state="pruned")
    data = {"summary": {"classes": 10}}
    assert first_verdict(rising, spec, data).word == "still improving at max_epochs"
    assert first_verdict(useless, spec, data).word == "no better than the baseline"
    assert first_verdict(useless, spec, {"summary": None}).word == "ok"


numbers = st.floats(allow_nan=True, allow_infinity=True)
metrics = st.dictionaries(
    st.sampled_from(["value", "train_loss", "validation_loss", "accuracy", "baseline_value"]), numbers
)


@given(
    curve=st.dictionaries(st.integers(0, 200), numbers, max_size=12),
    history=st.lists(metrics, max_size=12),
    state=st.sampled_from(ENDED),
    max_epochs=st.integers(1, 12),
    direction=st.sampled_from(["maximize", "minimize"]),
    n_classes=st.sampled_from([None, 1, 2, 3, 632]),
)
@example({98: 0.1, 99: 0.2, 100: 0.3}, [], "complete", 1, "maximize", None)
def test_a_verdict_of_any_curve(
    curve: dict[int, float], history: Any, state: str, max_epochs: int, direction: str, n_classes: int | None
) -> None:
    """A worker judges a trial of a plain function, too, which may report anything at any step."""
    trial = replace(
        make_trial(0, [], state=state),
        curve=dict(sorted(curve.items())),
        attributes={"history": history, "metrics": history[-1] if history else None},
    )
    spec = make_spec(metric="value", direction=direction, max_epochs=max_epochs)
    assert first_verdict(trial, spec, {"summary": {"classes": n_classes}}).word


def test_the_kind_of_a_verdict_is_told_from_its_stored_word() -> None:
    assert {kind: kind_of(kind.value) for kind in VerdictKind} == {kind: kind for kind in VerdictKind}
    assert overfits_after(12) == "overfits after epoch 12"
    assert kind_of(overfits_after(12)) is VerdictKind.OVERFITS
    assert [kind_of(word) for word in ("o3", "underfits 3", "a later version's", "")] == [None] * 4


def test_what_never_trained_does_not_overfit() -> None:
    never = with_losses(0, [0.17, 0.14, 0.12, 0.11, 0.1, 0.1], [2.4, 2.35, 2.33, 2.32, 2.31, 2.3])
    found = verdict(never)
    assert found.word == "learned little"
    assert "its best balanced_accuracy is 0.1700; the best trial's was 0.6600 by then" in found.evidence
    assert "dropout" not in found.advice
    # Where no baseline is known, what a bad trial starts with stands for it.
    bare = [replace(trial, attributes=trial.attributes | {"metrics": {}}) for trial in (never, make_trial(1, GOOD))]
    assert diagnose(make_report(bare, metric="score"))[0].word == "learned little"


def test_a_flat_curve_far_below_the_best_is_not_fine() -> None:
    assert verdict(make_trial(0, [0.2, 0.2, 0.2, 0.2])).word == "learned little"
    # Compared with the best trial after as many epochs, what was pruned early may be as good as any.
    assert verdict(make_trial(0, [0.28, 0.3, 0.45], state="pruned")).word == "ok"


def plain(number: int, values: list[float], first: int = 0, **given: Any) -> TrialRecord:
    """Return a trial of a plain function, which counts its steps from `first`."""
    trial = make_trial(number, values, **given)
    attributes = {key: value for key, value in trial.attributes.items() if key not in ("history", "metrics", "epoch")}
    return replace(trial, curve=dict(enumerate(values, start=first)), attributes=attributes, epoch=None)


@pytest.mark.parametrize("first", [0, 1])
def test_a_plain_function_has_no_max_epochs(first: int) -> None:
    trials = [plain(n, [0.1, 0.2, 0.4 + n / 100], first) for n in range(3)]
    record = make_report(trials, max_epochs=1)
    assert {found.word for found in diagnose(record).values()} == {"ok"}
    assert (record.max_epochs, record.unit) == (3, "step")
    short = diagnose(make_report([plain(0, [0.1, 0.2], first)], max_epochs=1))[0]
    assert (short.word, short.evidence) == ("too short to tell", "it reported 2 values")


def test_too_few_steps() -> None:
    data = {"summary": {"train": 1000}}
    trial = with_losses(
        0, [0.2, 0.25, 0.3, 0.33, 0.36, 0.4], [2.0, 1.8, 1.6, 1.5, 1.4, 1.3], params={"batch_size": 256}
    )
    found = first_verdict(trial, make_spec(), data)
    assert found.word == "too few steps"
    assert "24 optimizer steps in all, 4 an epoch" in found.evidence
    assert "from 1.5000 to 1.3000" in found.evidence or "from 1.4000 to 1.3000" in found.evidence
    assert first_verdict(replace(trial, params={"batch_size": 4}), make_spec(), data).word != "too few steps"
    assert first_verdict(replace(trial, state=State.PRUNED), make_spec(), data).word != "too few steps"
    flat = with_losses(0, [0.2, 0.25, 0.3, 0.33, 0.36, 0.4], [2.0, 1.3, 1.3, 1.3, 1.3, 1.3], params={"batch_size": 256})
    assert first_verdict(flat, make_spec(), data).word != "too few steps"


def test_a_plain_functions_bad_setting_is_just_that() -> None:
    found = diagnose(make_report([plain(0, [0.0, 0.1, 0.1]), plain(1, [0.0, 0.5, 0.9])], metric="score"))
    assert {each.word for each in found.values()} == {"ok"}
    falling = diagnose(
        make_report([plain(0, [0.1, 0.05, 0.0], params={"x": 1}), plain(1, [0.0, 0.5, 0.9])], metric="y")
    )
    assert (falling[0].word, falling[0].advice) == ("learned little", "settings nearer to the best trial's")


def test_one_class_in_all_rows_is_the_cause() -> None:
    found = verdict(answering([[50, 0], [0, 0]], [1.0, 1.0, 1.0]))
    assert found.word == "every target is the same"
    assert "every validation row is of class 'class 0'" in found.evidence
    assert "learning_rate" not in found.advice
    alone = make_trial(0, [1.0], attributes={"evidence": {"classes": ["a"], "confusion": [[50]]}})
    assert first_verdict(alone, make_spec(), {}).word == "every target is the same"


@pytest.mark.parametrize(
    ("metric", "direction", "value"), [("balanced_accuracy", "maximize", 1.0), ("rmse", "minimize", 0.0)]
)
def test_a_perfect_baseline_is_the_cause(metric: str, direction: str, value: float) -> None:
    history = [{metric: value, f"baseline_{metric}": value} for _ in range(3)]
    trial = make_trial(0, [value] * 3, attributes={"history": history})
    found = diagnose(make_report([trial], metric=metric, direction=direction))[0]
    assert found.word == "every target is the same"
    assert f"a trivial answer scores {value:.4f}, and nothing can be better" in found.evidence


def test_a_metric_that_is_never_a_number_is_not_the_learning_rates_fault() -> None:
    given: dict[str, Any] = {"state": "fail", "reason": "nan", "attributes": {"detail": "r2 is nan in epoch 1"}}
    lost = [make_trial(n, [], **given) for n in range(3)]
    found = diagnose(make_report(lost, metric="r2"))[0]
    assert found.word == "the metric is never a number"
    assert "constant target" in found.advice
    assert diagnose(make_report([*lost, make_trial(3, GOOD)], metric="r2"))[0].word == "diverged"
