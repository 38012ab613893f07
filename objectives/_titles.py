"""What the two title classifiers share: the data, the parameters they have in common, batches, scores, prediction."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from objectives._baselines import linear_titles
from objectives._contract import DataError, Example, PredictingObjective, Progress, Source, silent
from objectives._data.kit.json_rows import JSON_SUFFIXES, json_rows, text_in
from objectives._data.kit.lines import RowError, TextLines, each, plain_name
from objectives._data.kit.sources import TABLES
from objectives._data.kit.split import ROLES
from objectives._data.kit.tables import Records, places_of, renamed, separator_of, wrong_width
from objectives._data.titles import DATASETS, ORIGINS, UNK, Recipe, TitleRows, Titles, encoder, load_titles, raw_files
from objectives._data.titles.readers import NAMES, OTHER_NAMES
from objectives._dropout import Dropout
from objectives._evidence import Scores, score_classes
from objectives._example import write_csv
from objectives._fit import Fit, Optimizer, make_optimizer, seeded
from objectives._predict import answered, file_in, is_named, likeliest, open_lines, restored
from objectives._rows import RowEmbedding, RowOptimizer

EMBEDDING_WIDTH = 300  # unless the data have vectors; the width of those that the published models start from
SCORE_BATCH = 1024
PREDICT_WORDS = 64 * SCORE_BATCH  # of a batch, padding included

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}

SHARED_SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
    # A logarithmic range cannot contain 0.
    "decay_weights": {"choices": [True, False], "default": True},
    "weight_decay": {"low": 1e-7, "high": 1e-3, "log": True, "default": 1e-5, "when": {"decay_weights": [True]}},
    "batch_size": {"choices": [64, 128, 256, 512, 1024], "default": 128},
    "dropout": {"low": 0.0, "high": 0.7, "default": 0.3},
    "freeze_embeddings": {"choices": [True, False], "default": False},
    "optimizer": {"choices": ["adam", "rmsprop", "sgd"], "default": "adam"},
    "momentum": {"low": 0.0, "high": 0.99, "default": 0.9, "when": {"optimizer": ["sgd"]}},
}


class TitleClassifier(nn.Module):
    """Titles [n, longest] of word numbers, and their lengths [n], to logits [n, n_classes]."""

    embedding: RowEmbedding


class TitleObjective(PredictingObjective):
    """Tell a product title's category; an objective says which model does."""

    metrics: ClassVar[Mapping[str, str]] = {
        "balanced_accuracy": "maximize",
        "accuracy": "maximize",
        "pr_auc": "maximize",
    }
    datasets: ClassVar[Mapping[str, str]] = DATASETS
    origins = ORIGINS
    quick: ClassVar[Mapping[str, Any]] = {"batch_size": 64}  # parameters of the example

    @abstractmethod
    def build(
        self, params: Mapping[str, Any], n_words: int, n_classes: int, vectors: Tensor | None = None
    ) -> TitleClassifier:
        """Return the model, with weights drawn from torch's generator.

        vectors: the embedding's first weight [n_words, width], which the model then owns; None for random rows.
        """

    def shortest(self, params: Mapping[str, Any]) -> int:
        """Return the length to which shorter titles are padded."""
        return 1

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """See Objective."""
        return raw_files(dataset, data)

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Titles:
        """See Objective."""
        return load_titles(dataset, data, cache, progress)

    def baselines(self, data: Titles, params: Mapping[str, Any]) -> dict[str, float]:
        """See Objective."""
        return linear_titles(data.train, data.validation, len(data.vocabulary), len(data.classes))

    def start(self, params: Mapping[str, Any], data: Titles, *, seed: int, device: str) -> Fit:
        """See Objective."""
        vectors = data.vectors()
        first = None if vectors is None else torch.from_numpy(vectors)
        with seeded(seed, device):
            model = self.build(params, len(data.vocabulary), len(data.classes), first).to(device)
        optimizers: list[Optimizer] = [make_optimizer(model.parameters(), params)]
        if not params["freeze_embeddings"]:
            optimizers.append(RowOptimizer(model.embedding, params))
        shortest = self.shortest(params)
        roles = {role: TitleBatches(getattr(data, role), shortest, device) for role in ROLES}

        def loss(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
            words, lengths, labels = batch
            return F.cross_entropy(model(words, lengths), labels), len(labels)

        def score(role: str) -> dict[str, float]:
            return score_titles(model, roles[role], data.classes)

        return Fit(
            model,
            optimizers,
            batches=lambda order: roles["train"].shuffled(params["batch_size"], order),
            loss=loss,
            score=score,
            seed=seed,
            device=device,
        )

    def fitted(self, params: Mapping[str, Any], data: Titles) -> dict[str, Any]:
        """See PredictingObjective."""
        return {"classes": data.classes, "recipe": asdict(data.recipe), "vocabulary": data.vocabulary}

    def predictor(
        self, params: Mapping[str, Any], fitted: Mapping[str, Any], weights: Mapping[str, Any], *, device: str
    ) -> TitlePredictor:
        """See PredictingObjective."""
        vocabulary, classes = fitted["vocabulary"], fitted["classes"]
        table = weights.get("embedding.weight")  # as wide as the vectors that the training began with
        shape = None if table is None else torch.empty(len(vocabulary), table.shape[1])
        model = restored(self.build(params, len(vocabulary), len(classes), shape), weights, device)
        encode = encoder(Recipe(**fitted["recipe"]), vocabulary)
        return TitlePredictor(model, classes, encode, self.shortest(params), device)

    def example(self, directory: Path) -> Example:
        """Three categories of sixty titles whose words overlap a little, as a PriceRunner file."""
        draw = random.Random(0)  # noqa: S311 - of an example
        rows, asked = [], []
        for row in range(180):
            kind = row % 3
            words = [f"word{kind}{draw.randrange(12)}" for _ in range(draw.randint(1, 7))]
            words += [f"common{draw.randrange(5)}" for _ in range(draw.randint(0, 3))]
            title = " ".join(words) + f" n{row}"
            rows.append([row, title, 1, kind, f"cluster {kind}", kind, f"Category {kind}"])
            asked.append(title)
        (directory / "asked.txt").write_text("\n".join(asked) + "\n")
        dataset = write_csv(directory / "titles.csv", rows)
        return Example(dataset, self.quick, [str(directory / "asked.txt"), *asked[:5]])


class TitlePredictor:
    """A trained title classifier; see `objectives.Predictor`."""

    def __init__(
        self,
        model: TitleClassifier,
        classes: list[str],
        encode: Callable[[str], list[int]],
        shortest: int,
        device: str,
    ) -> None:
        self._model = model
        self._classes = classes
        self._encode = encode
        self._shortest = shortest
        self._device = device

    def predict(self, source: Source) -> Iterator[dict[str, Any]]:
        """INPUT is a product title, a file of titles, one a line, or a table with a column `title`; stdin
        likewise.

        The answer has the three likeliest categories, and known_words, the share of the title's words that occurred in
        training: if that is 0, the answer says nothing about this title.
        """
        titles = (
            ({"title": title}, self._encode(title)) if isinstance(title, str) else ({"title": ""}, title)
            for title in read_titles(source)
        )
        yield from answered(titles, SCORE_BATCH, self._answers, len, PREDICT_WORDS)

    def _answers(self, titles: list[list[int]]) -> Iterator[dict[str, Any]]:
        """Yield the answers to titles, each its words' numbers."""
        rows = TitleRows(
            np.fromiter(chain.from_iterable(titles), dtype=np.int32),
            np.fromiter(accumulate(map(len, titles), initial=0), dtype=np.int64),
            np.zeros(len(titles), dtype=np.int32),
        )
        [(words, lengths, _)] = TitleBatches(rows, self._shortest, self._device).in_order(len(titles))
        with torch.inference_mode():
            answers = likeliest(self._model(words, lengths), self._classes, "category")
        for known, answer in zip(titles, answers, strict=True):
            share = sum(word != UNK for word in known) / len(known)
            yield {**answer, "known_words": round(share, 2)}


def read_titles(source: Source) -> Iterator[str | RowError]:
    """Yield the titles of an INPUT; one that is empty or cannot be read is an error with its line."""
    file = file_in(source, "a title, or a file with one a line")
    if file is None:
        if not str(source).strip():
            raise DataError("the title is empty; expected a few words")
        yield str(source)
        return
    n = 0
    with open_lines(file) as lines:

        def title_in_record(record: tuple[int, list[str]]) -> str:
            if len(record[1]) != len(header):
                raise wrong_width(lines, len(record[1]), len(header), record[0])
            return title_in(record[1][column])

        def title_in_row(row: dict[str, Any]) -> str:
            return title_in(text_in(lines, row, "title", "text in 'title'", OTHER_NAMES["title"]))

        def title_in(line: str) -> str:
            if not line.strip():
                raise lines.error("an empty title", "remove the line or fill it in")
            return line.rstrip("\r\n")

        form = _form_of(source, lines)
        titles: Iterator[str] = map(title_in, lines) if form is None else iter(())
        if form == "table":
            rows = Records(lines, NAMES)
            _, header = next(rows, (1, []))
            [column] = places_of(["title"], header, lines, "a header that has it once", OTHER_NAMES)
            titles = map(title_in_record, rows)
        elif form == "json":
            titles = map(title_in_row, json_rows(lines))
        for title in each(titles):
            n += 1
            yield title
    if not n:
        raise DataError(f"{lines.path} is empty; expected a product title a line")


def _form_of(source: Source, lines: TextLines) -> str | None:
    """Whether an INPUT is a "table" or "json", by its name, or where it says nothing by its first line; else None."""
    if isinstance(source, str) and (is_named(source, *TABLES) or Path(source).is_dir()):
        return "json" if is_named(source, *JSON_SUFFIXES) else "table"
    first = lines.first()
    names = list(map(plain_name, first.split(separator_of(first, NAMES))))
    if "title" in names or (len(names) > 1 and "title" in renamed(names, OTHER_NAMES)):
        return "table"  # a title of that one word is a header, too
    return "json" if re.match(r'\s*(\[\s*$|(\[\s*)?{\s*($|"))', first) else None


class TitleBatches:
    """The titles of one role, cut into padded batches."""

    def __init__(self, rows: TitleRows, shortest: int, device: str) -> None:
        self._rows = rows
        self._lengths = np.diff(rows.offsets)
        self._shortest = shortest
        self._device = device

    def __len__(self) -> int:
        return len(self._lengths)

    def shuffled(self, batch_size: int, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield words [n, longest], lengths [n] and labels [n] of every title once, in random batches.

        Batches of titles of similar length would save padding, but cost more than that, for such titles have similar
        classes, too. On the bundled titles the perceptron with frozen embeddings then reaches .60, not .78, after one
        epoch and .927, not .941, after three (batch 256, n = 3 seeds, sd .05 and .003).
        """
        shuffled = torch.randperm(len(self._lengths), generator=order).numpy()
        for start in range(0, len(shuffled), batch_size):
            yield self._batch(shuffled[start : start + batch_size])

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the same, from the first title to the last."""
        for start in range(0, len(self._lengths), batch_size):
            yield self._batch(np.arange(start, min(start + batch_size, len(self._lengths))))

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        lengths = self._lengths[rows]
        places = np.arange(max(self._shortest, lengths.max()))
        inside = places < lengths[:, None]
        words = np.zeros(inside.shape, dtype=np.int64)  # zero is padding
        words[inside] = self._rows.tokens[(self._rows.offsets[rows][:, None] + places)[inside]]
        labels = self._rows.labels[rows].astype(np.int64)
        batch = (torch.from_numpy(array).to(self._device, non_blocking=True) for array in (words, lengths, labels))
        return next(batch), next(batch), next(batch)


def score_titles(model: TitleClassifier, batches: TitleBatches, classes: Sequence[str]) -> Scores:
    """Return what `score_classes` has, over every title."""
    answered = ((model(words, lengths), labels) for words, lengths, labels in batches.in_order(SCORE_BATCH))
    return score_classes(answered, len(batches), classes)


def head(
    width: int, hidden_layers: list[int], dropout: float, n_classes: int, *, activation: str = "relu"
) -> nn.Sequential:
    """Return [Linear, activation, dropout] for each hidden layer, then Linear to logits: no sigmoid before the loss."""
    layers: list[nn.Module] = []
    for n_hidden in hidden_layers:
        layers += [nn.Linear(width, n_hidden), ACTIVATIONS[activation](), Dropout(dropout)]
        width = n_hidden
    return nn.Sequential(*layers, nn.Linear(width, n_classes))
