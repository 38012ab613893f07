"""What is kept beside a trial's value: evidence of bounded size, peak memory, and what classifiers say of classes."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, confusion_matrix

from objectives import _evidence
from objectives._evidence import MAX_DENSE, confused, score_classes
from studies.record.classes import read_classes
from studies.run.evidence import MAX_BYTES, evidence_of, peak_memory_mib, reset_peak_memory


class Showing:
    def __init__(self, found: Any) -> None:
        self.found = found

    def evidence(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": [1, 2.5, None, "x"]}, {"a": [1, 2.5, None, "x"]}),
        ({"a": math.nan, "b": -math.inf}, {"a": None, "b": None}),
        ({1: "one"}, {"1": "one"}),
        ([1], {"error": "it is a list; expected a dict"}),
        ({"a": np.float32(1)}, {"error": "TypeError: Object of type float32 is not JSON serializable"}),
        (RuntimeError("no"), {"error": "RuntimeError: no"}),
        ({"a": "x" * MAX_BYTES}, {"error": f"it has {MAX_BYTES + 9:,} characters of JSON; at most 65,536 are kept"}),
    ],
    ids=["plain", "not finite", "number as a key", "list", "not JSON", "raises", "too large"],
)
def test_evidence_is_plain_json_of_bounded_size(found: Any, expected: dict[str, Any]) -> None:
    assert evidence_of(Showing(found)) == expected


def test_a_training_without_evidence_has_none() -> None:
    assert evidence_of(object()) == {}


def test_peak_memory_is_that_of_the_trial_not_of_the_one_before() -> None:
    reset_peak_memory("cpu")
    before = peak_memory_mib("cpu")
    block = np.ones(25 * 2**20)  # 200 MiB
    assert peak_memory_mib("cpu") >= before + 150
    del block
    reset_peak_memory("cpu")
    assert peak_memory_mib("cpu") < before + 100


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_peak_memory_of_a_gpu_is_torchs() -> None:
    reset_peak_memory("cuda")
    before = peak_memory_mib("cuda")
    block = torch.ones(64 * 2**20, device="cuda")  # 256 MiB
    del block
    assert peak_memory_mib("cuda") == pytest.approx(before + 256, abs=2)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_classes = draw(st.integers(2, 5))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=2, max_size=40))
    row = st.lists(st.integers(-3, 3), min_size=n_classes, max_size=n_classes)
    logits = draw(st.lists(row, min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(logits, dtype=np.float32)


@given(scored(), st.integers(1, 7))
def test_metrics_of_classes_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray], batch_size: int) -> None:
    labels, logits = drawn
    names = [f"class {n}" for n in range(logits.shape[1])]
    batches = zip(torch.tensor(logits).split(batch_size), torch.tensor(labels).split(batch_size), strict=True)
    found = score_classes(batches, len(labels), names)
    answers = logits.argmax(axis=1)
    scores = torch.tensor(logits).log_softmax(dim=1).numpy()
    occurring = np.unique(labels)
    areas = [average_precision_score(labels == one, scores[:, one]) for one in occurring]
    assert found["pr_auc"] == pytest.approx(np.mean(areas))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, answers))
    recalls = [np.mean(answers[labels == one] == one) for one in occurring]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    evidence = found.evidence()
    assert json.loads(json.dumps(evidence)) == evidence
    assert evidence["confusion"] == confusion_matrix(labels, answers, labels=range(len(names))).tolist()
    classes = read_classes(evidence)
    assert classes is not None
    assert classes.accuracy == pytest.approx(found["accuracy"])
    read = [one.recall for one in classes.recalls if one.recall is not None]
    assert read == [pytest.approx(recall) for recall in recalls]


def test_one_answer_for_everything_gets_the_baselines() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    found = score_classes([(torch.tensor([[1.0, 0.0, 0.0]]).repeat(10, 1), labels)], 10, ["a", "b", "c"])
    assert found["balanced_accuracy"] == pytest.approx(found["baseline_balanced_accuracy"])
    assert found["accuracy"] == found["baseline_accuracy"] == 0.6
    assert found["pr_auc"] == pytest.approx(found["baseline_pr_auc"])


def test_of_very_many_scores_every_second_row_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(1001, 4, generator=draw), torch.randint(4, (1001,), generator=draw)
    names = list("abcd")
    monkeypatch.setattr(_evidence, "MAX_SCORES", 4 * 501)
    found = score_classes(zip(logits.split(7), labels.split(7), strict=True), 1001, names)
    half = logits[::2].log_softmax(dim=1).numpy()
    truth = labels[::2].numpy()
    expected = np.mean([average_precision_score(truth == one, half[:, one]) for one in range(4)])
    assert found["pr_auc"] == pytest.approx(expected)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, logits.argmax(dim=1)))


def test_evidence_of_the_real_number_of_classes_is_small_and_reads_back() -> None:
    draw = np.random.default_rng(0)
    n = 1574  # of the MercadoLibre challenge
    names = [f"CATEGORY_WITH_A_RATHER_LONG_NAME_{index}" for index in range(n)]
    confusion = np.diag(draw.integers(0, 90, n)) + (draw.random((n, n)) < 0.002) * draw.integers(1, 9, (n, n))
    confusion[3, 7] = 5000
    confusion[11] = 0
    evidence = confused(confusion, names)
    assert len(json.dumps(evidence)) < 32_000
    assert evidence["recall"][11] is None
    classes = read_classes(json.loads(json.dumps(evidence)))
    assert classes is not None
    assert (classes.n, classes.n_rows) == (n, int(confusion.sum()))
    assert classes.confused[0] == (names[3], names[7], 5000)
    assert classes.top.name == names[7]
    recall = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    worst = sorted(recall[np.arange(n) != 11])[:20]
    assert [one.recall for one in classes.recalls] == [pytest.approx(value, abs=1e-4) for value in worst]
    others = np.delete(recall, [7, 11]).mean()
    assert classes.others == pytest.approx(others, abs=1e-3)


@pytest.mark.parametrize("n", [MAX_DENSE, MAX_DENSE + 1])
def test_few_and_many_classes_say_the_same(n: int) -> None:
    confusion = np.eye(n, dtype=np.int64) * 8
    confusion[2, 1] = 4
    classes = read_classes(confused(confusion, [f"c{index}" for index in range(n)]))
    assert classes is not None
    assert (classes.matrix is None) == (n > MAX_DENSE)
    assert classes.confused == [("c2", "c1", 4)]
    assert (classes.top.name, classes.top.recall) == ("c1", 1.0)
    assert min(one.recall or 0.0 for one in classes.recalls) == pytest.approx(8 / 12, abs=1e-4)
    assert classes.others == pytest.approx((n - 2 + 8 / 12) / (n - 1), abs=1e-3)


@pytest.mark.parametrize(
    "evidence",
    [
        None, 3, [], {}, {"confusion": 1}, {"confusion": [[1]], "classes": ["a"]},
        {"confusion": [[1, 2]], "classes": "ab"},
        {"confusion": [[0, 0], [0, 0]], "classes": ["a", "b"]}, {"confusion": [[1, -1], [0, 0]], "classes": ["a", "b"]},
        {"confusion": [["x", 1], [0, 0]], "classes": ["a", "b"]}, {"confused": 3}, {"confused": [], "answers": []},
    ],
)  # fmt: skip
def test_a_users_own_evidence_may_be_anything(evidence: Any) -> None:
    assert read_classes(evidence) is None
