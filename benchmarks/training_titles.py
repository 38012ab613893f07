"""How much faster do the title classifiers train than their authors' loop, to the same value?

    python benchmarks/training_titles.py [--titles 60000] [--repeats 3] [--only mlp|cnn]     speeds
    python benchmarks/training_titles.py --values [--seeds 5] [--epochs 3] [--own-windows]   values

The authors' loop reads gzipped JSON lines with a DataLoader, pads each batch, and trains torch's own embedding,
convolutions and dense Adam, reading the loss with `.item()` at every step. Both loops get the same vocabulary, start
from the same distribution of weights and use one thread.

Speeds: data are generated in the course's form at its real vocabulary (50,000 words) and classes (632); words follow a
Zipf law, and every word occurs at least twice. The two train on the same number of batches in turns. It would take
hours until such a net tells 632 classes apart, so values come from the bundled titles: whole trainings of both loops on
`pricerunner`, of which the authors' get the titles shuffled, for their loop does not shuffle. Each is scored on the
validation titles after its last epoch, a seed at a time; the difference has its standard error beside it.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from objectives import meli_cnn, meli_mlp
from objectives._data.titles import Titles, load_titles
from objectives._metrics import classification, confusion_matrix
from objectives._rows import INITIAL_SPREAD
from objectives._titles import EMBEDDING_WIDTH, TitleObjective, head
from studies.spec.space import Space

N_WORDS, N_CLASSES = 50_000, 632
MLP = {"hidden_layers": [512, 256, 256, 128], "dropout": 0.3, "weight_decay": 1e-7}
CNN = {"n_filters": 100, "filter_lengths": [2, 3, 4], "hidden_layers": [128], "dropout": 0.3, "weight_decay": 1e-7}
N_BATCHES = 100  # of an epoch of 18,000 in the course, so that what is done once an epoch weighs little here, too

Kind = tuple[TitleObjective, type[nn.Module], Mapping[str, Any]]


def generate(directory: Path, n_titles: int) -> None:
    """Write the three files of the course's form."""
    draw = np.random.default_rng(0)
    weights = 1 / np.arange(1, N_WORDS + 1)
    labels = draw.integers(N_CLASSES, size=n_titles)
    lengths = draw.integers(3, 10, size=n_titles)
    common = draw.choice(N_WORDS, p=weights / weights.sum(), size=lengths.sum())
    rare = iter(np.tile(draw.permutation(N_WORDS), 2).tolist())
    ends = lengths.cumsum()
    roles = {"train": 0.8, "validation": 0.1, "test": 0.1}
    bounds = np.concatenate([[0], np.cumsum(list(roles.values()))]) * n_titles
    for role, begin, end in zip(roles, bounds[:-1].astype(int), bounds[1:].astype(int), strict=True):
        with gzip.open(directory / f"spanish.{role}.jsonl.gz", "wt") as file:
            for row in range(begin, end):
                words = common[ends[row] - lengths[row] : ends[row]].tolist()
                words = [word if i % 2 else (labels[row] * 37 + word % 20) % N_WORDS for i, word in enumerate(words)]
                if role == "train":
                    words += list(itertools.islice(rare, 4))
                names = ["w" + "".join(chr(97 + int(digit)) for digit in str(word)) for word in words]
                content = {
                    "language": "spanish", "label_quality": "reliable", "title": " ".join(names),
                    "category": f"CLASS_{labels[row]}", "split": role, "tokenized_title": names, "data": [],
                    "target": int(labels[row]), "n_labels": N_CLASSES, "size": int(end - begin),
                }  # fmt: skip
                file.write(json.dumps(content) + "\n")


def as_json_lines(data: Titles, path: Path) -> None:
    """Write the training titles, shuffled, as the authors' loop reads them: numbers of words and of classes."""
    rows = data.train
    with gzip.open(path, "wt") as file:
        for row in np.random.default_rng(0).permutation(len(rows)):
            words = rows.tokens[rows.offsets[row] : rows.offsets[row + 1]].tolist()
            file.write(json.dumps({"data": words, "target": int(rows.labels[row])}) + "\n")


class Lines(IterableDataset[dict[str, Any]]):
    """The authors' data set: a line is read and parsed when it is needed, every epoch anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the titles in the order of the file."""
        with gzip.open(self.path, "rt") as file:
            for line in file:
                yield json.loads(line)


class Collate:
    """The authors' batches: padded to the longest title, and to the longest filter."""

    def __init__(self, shortest: int) -> None:
        self.shortest = shortest

    def __call__(self, items: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """Return words [n, longest] and classes [n]."""
        longest = max(self.shortest, max(len(item["data"]) for item in items))
        words = [item["data"] + [0] * (longest - len(item["data"])) for item in items]
        return torch.LongTensor(words), torch.LongTensor([item["target"] for item in items])


class AuthorsMlp(nn.Module):
    """The course's perceptron."""

    def __init__(self, params: Mapping[str, Any], n_words: int, n_classes: int) -> None:
        super().__init__()
        self.embedding = embedding(params, n_words)
        self.head = torchs_own(head(EMBEDDING_WIDTH, params["hidden_layers"], params["dropout"], n_classes))

    def forward(self, words: Tensor) -> Tensor:
        """Words [n, longest] to logits [n, n_classes]."""
        return self.head(self.embedding(words).sum(1) / (words > 0).sum(1, keepdim=True))


class AuthorsCnn(nn.Module):
    """The course's convolutional network. own_windows: leave windows over padding out of the maximum."""

    own_windows = False

    def __init__(self, params: Mapping[str, Any], n_words: int, n_classes: int) -> None:
        super().__init__()
        self.embedding = embedding(params, n_words)
        lengths, n_filters = params["filter_lengths"], params["n_filters"]
        self.convolutions = nn.ModuleList(nn.Conv1d(EMBEDDING_WIDTH, n_filters, length) for length in lengths)
        self.head = torchs_own(head(len(lengths) * n_filters, params["hidden_layers"], params["dropout"], n_classes))

    def forward(self, words: Tensor) -> Tensor:
        """Words [n, longest] to logits [n, n_classes]."""
        embedded = self.embedding(words).transpose(1, 2)
        found = [conv(embedded) for conv in self.convolutions]  # [n, filters, windows] each
        if self.own_windows:
            lengths = (words > 0).sum(1).clamp(min=max(conv.kernel_size[0] for conv in self.convolutions))
            for conv, windows in zip(self.convolutions, found, strict=True):
                last = lengths - conv.kernel_size[0]
                windows.masked_fill_((torch.arange(windows.shape[2]) > last[:, None])[:, None], -torch.inf)
        return self.head(torch.cat([F.relu(windows.max(2)[0]) for windows in found], 1))


def torchs_own(layers: nn.Sequential) -> nn.Sequential:
    """Return the same layers with torch's own dropout."""
    return nn.Sequential(*(nn.Dropout(layer.p) if isinstance(layer, nn.Dropout) else layer for layer in layers))


def embedding(params: Mapping[str, Any], n_words: int) -> nn.Embedding:
    """Return torch's own embedding, with the spread of weights that ours starts from."""
    layer = nn.Embedding(n_words, EMBEDDING_WIDTH, padding_idx=0)
    with torch.no_grad():
        layer.weight.mul_(INITIAL_SPREAD)
    layer.weight.requires_grad_(not params["freeze_embeddings"])
    return layer


class Authors:
    """The authors' loop on one model."""

    def __init__(
        self,
        kind: type[nn.Module],
        params: Mapping[str, Any],
        data: Titles,
        lines: Path,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.model = kind(params, len(data.vocabulary), len(data.classes)).to(device)
        self.optimizer = torch.optim.Adam(
            [weight for weight in self.model.parameters() if weight.requires_grad],
            lr=params["learning_rate"],
            weight_decay=1e-7,
        )
        shortest = max(params.get("filter_lengths", [1]))
        self.batches = DataLoader(Lines(lines), batch_size=params["batch_size"], collate_fn=Collate(shortest))
        self.data = data

    def train(self, n_batches: int | None) -> int:
        """Train on so many batches, or on all; return the number of titles."""
        self.model.train()
        n_titles = 0
        for words, labels in itertools.islice(self.batches, n_batches):
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(words.to(self.device)), labels.to(self.device))
            loss.backward()
            self.optimizer.step()
            loss.item()
            n_titles += len(labels)
        return n_titles

    def value(self) -> float:
        """Score the validation titles, one by one in length so that padding does not matter."""
        self.model.eval()
        rows, answers = self.data.validation, []
        with torch.inference_mode():
            for row in range(len(rows)):
                words = rows.tokens[rows.offsets[row] : rows.offsets[row + 1]].astype(np.int64)
                words = np.pad(words, (0, max(0, 4 - len(words))))
                answers.append(int(self.model(torch.from_numpy(words)[None]).argmax()))
        return classification(confusion_matrix(rows.labels, answers, len(self.data.classes)))["balanced_accuracy"]


class Ours:
    """The objective's training, driven batch by batch."""

    def __init__(self, objective: TitleObjective, params: Mapping[str, Any], data: Titles, device: str = "cpu") -> None:
        self.fit = objective.start(params, data, seed=0, device=device)
        self.batches = self.fit._batches

    def train(self, n_batches: int | None) -> int:
        """Train on so many batches, or on all; return the number of titles."""
        counted = 0

        def some(order: torch.Generator) -> Iterator[Any]:
            nonlocal counted
            for batch in itertools.islice(self.batches(order), n_batches):
                counted += len(batch[2])
                yield batch

        self.fit._batches = some
        self.fit._score = lambda role: {}
        self.fit.epoch()
        return counted


def speed(loop: Authors | Ours, n_batches: int) -> float:
    """Return titles per second of CPU time."""
    started = time.process_time()
    return loop.train(n_batches) / (time.process_time() - started)


def speeds(kinds: list[Kind], n_titles: int, n_repeats: int) -> None:
    """Print what each loop does in a second of its own CPU time."""
    print("| model | embeddings | batch | theirs, titles/s | ours, titles/s | ratio | (each) |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "raw").mkdir()
        generate(directory / "raw", n_titles)
        data = load_titles(str(directory / "raw"), directory, directory / "cache")
        lines = directory / "train.jsonl.gz"
        as_json_lines(data, lines)
        for objective, kind, given in kinds:
            for frozen, batch_size in itertools.product((False, True), (128, 256)):
                params = completed(objective, given, freeze_embeddings=frozen, batch_size=batch_size)
                theirs, ours = Authors(kind, params, data, lines), Ours(objective, params, data)
                for loop in (theirs, ours):
                    loop.train(3)
                pairs = [(speed(theirs, N_BATCHES), speed(ours, N_BATCHES)) for _ in range(n_repeats)]
                ratios = [b / a for a, b in pairs]
                cells = [
                    kind.__name__.removeprefix("Authors").upper(),
                    "frozen" if frozen else "trained",
                    str(batch_size),
                    f"{statistics.median(a for a, _ in pairs):,.0f}",
                    f"{statistics.median(b for _, b in pairs):,.0f}",
                    f"**{statistics.median(ratios):.1f}**",
                    ", ".join(f"{ratio:.1f}" for ratio in ratios),
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


def values(kinds: list[Kind], n_seeds: int, n_epochs: int) -> None:
    """Print what the nets are worth that each loop trains."""
    print(f"Balanced accuracy on pricerunner's validation titles after {n_epochs} epochs, n = {n_seeds} seeds\n")
    print("| model | embeddings | theirs, mean +- sd | ours, mean +- sd | ours - theirs, +- its standard error |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        data = load_titles("pricerunner", directory, directory / "cache")
        lines = directory / "train.jsonl.gz"
        as_json_lines(data, lines)
        for (objective, kind, given), frozen in itertools.product(kinds, (True, False)):
            params = completed(objective, given, freeze_embeddings=frozen, batch_size=256)
            found: list[tuple[float, float]] = []
            for seed in range(n_seeds):
                theirs = Authors(kind, params, data, lines, seed)
                ours = objective.start(params, data, seed=seed, device="cpu")
                for _ in range(n_epochs):
                    theirs.train(None)
                    metrics = ours.epoch()
                found.append((theirs.value(), metrics["balanced_accuracy"]))
            of_each = list(zip(*found, strict=True))
            means, spreads = [statistics.mean(each) for each in of_each], [statistics.stdev(each) for each in of_each]
            error = math.sqrt(sum(spread**2 for spread in spreads) / n_seeds)
            cells = [kind.__name__.removeprefix("Authors").upper(), "frozen" if frozen else "trained"]
            cells += [f"{mean:.4f} +- {spread:.4f}" for mean, spread in zip(means, spreads, strict=True)]
            print(f"| {' | '.join(cells)} | {means[1] - means[0]:+.4f} +- {error:.4f} |", flush=True)


def completed(objective: TitleObjective, given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return all parameters, those that are not given at their defaults."""
    return Space.declared(objective.space).completed({**given, **more})


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["mlp", "cnn"])
    parser.add_argument("--values", action="store_true")
    parser.add_argument("--own-windows", action="store_true", help="no windows over padding in the authors' CNN")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    AuthorsCnn.own_windows = arguments.own_windows
    kinds: list[Kind] = [(meli_mlp.objective, AuthorsMlp, MLP), (meli_cnn.objective, AuthorsCnn, CNN)]
    if arguments.only:
        kinds = [kinds[["mlp", "cnn"].index(arguments.only)]]
    if arguments.values:
        values(kinds, arguments.seeds, arguments.epochs)
    else:
        speeds(kinds, arguments.titles, arguments.repeats)


if __name__ == "__main__":
    main()
