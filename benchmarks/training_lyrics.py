"""How much faster does the text model train than in a plain loop, to the same value?

    python benchmarks/training_lyrics.py [--repeats 5]              speeds, as a Markdown table
    python benchmarks/training_lyrics.py --values [--seeds 5]       validation loss after three epochs of each

The plain loop is torch's own embedding, nn.LSTM, nn.Dropout, linear layer, cross entropy over all logits,
clip_grad_norm_ and optimizer as it comes, with each step's loss read by `.item()`. All loops get the same tokens in
the same pieces, start from the same distribution of weights, and use one thread. They take turns. Time is the process's
CPU time, which on one thread is the wall clock of an idle machine; of training alone, and of scoring alone. Ours also
trains with products of bfloat16 numbers, which a processor has units for (lscpu: avx512_bf16, amx_bf16) or has not.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from objectives import lyrics_lstm
from objectives._data.lyrics import Lyrics
from objectives._lstm import WEIGHT_RANGE
from objectives._output import PADDING
from objectives.lyrics_lstm import SCORE_COLUMNS, SCORE_LENGTH, Piece, pieces, shuffled
from studies.spec.space import Space

CASES: Mapping[str, dict[str, Any]] = {
    "the defaults": {},
    "300 wide, batch 20": {"hidden_size": 300, "batch_size": 20},
    "3 layers, not tied": {"n_layers": 3, "tied": False},
    "characters": {"tokens": "character"},
    "published, 10 layers of 300": {
        "n_layers": 10, "hidden_size": 300, "optimizer": "sgd", "sgd_learning_rate": 20.0, "batch_size": 5,
    },
}  # fmt: skip
PRECISIONS = ({"precision": "float32"}, {"precision": "bfloat16"})
N_PIECES = 100  # of an epoch of 540 at the defaults; of the published one a fifth


class Plain(nn.Module):
    """The usual module."""

    def __init__(self, params: Mapping[str, Any], n_tokens: int) -> None:
        super().__init__()
        size, n_layers, dropout = params["hidden_size"], params["n_layers"], params["dropout"]
        self.embedding = nn.Embedding(n_tokens, size)
        nn.init.uniform_(self.embedding.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        self.lstm = nn.LSTM(size, size, n_layers, dropout=dropout if n_layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(size, n_tokens)
        nn.init.uniform_(self.output.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        nn.init.zeros_(self.output.bias)
        if params["tied"]:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Token numbers [length, n] to logits [length, n, n_tokens]."""
        found, (hidden, cell) = self.lstm(self.dropout(self.embedding(inputs)), state)
        return self.output(self.dropout(found)), (hidden.detach(), cell.detach())


class PlainLoop:
    """The usual loop."""

    def __init__(self, params: Mapping[str, Any], data: Lyrics, seed: int, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.device = device
        self.params, self.tokens = params, data.tokens[params["tokens"]]
        self.model = Plain(params, len(self.tokens.vocabulary)).to(device)
        self.order = torch.Generator().manual_seed(seed)
        sgd = params["optimizer"] == "sgd"
        kind = torch.optim.SGD if sgd else torch.optim.Adam
        self.optimizer = kind(self.model.parameters(), lr=params["sgd_learning_rate" if sgd else "adam_learning_rate"])
        self.best = math.inf

    def epoch(self) -> float:
        """Train on all pieces; return the validation loss."""
        self.train(None)
        value = self.score()
        if value >= self.best:
            for group in self.optimizer.param_groups:
                group["lr"] /= 2
        self.best = min(self.best, value)
        return value

    def train(self, n_pieces: int | None) -> int:
        """Train on so many pieces, or on all; return how many tokens they have."""
        self.model.train()
        n_tokens, state = 0, None
        sizes = self.params["batch_size"], self.params["bptt"]
        all_pieces = shuffled(self.tokens.train, *sizes, self.order, self.device)
        for piece in itertools.islice(all_pieces, n_pieces):
            logits, state = self.model(piece.inputs, state)
            loss = F.cross_entropy(logits.flatten(0, 1), piece.targets.flatten(), ignore_index=PADDING)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.params["clip"])
            self.optimizer.step()
            loss.item()
            n_tokens += piece.n_targets
        return n_tokens

    def score(self) -> float:
        """Return the loss over the validation documents."""
        self.model.eval()
        total, state, stream = 0.0, None, self.tokens.validation
        with torch.inference_mode():
            for piece in pieces(stream.numbers, SCORE_COLUMNS, SCORE_LENGTH, self.device):
                logits, state = self.model(piece.inputs, state)
                targets = piece.targets.flatten()
                total += F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PADDING, reduction="sum").item()
        return total / len(stream.numbers)


class Ours:
    """The objective's training."""

    def __init__(self, params: Mapping[str, Any], data: Lyrics, seed: int, device: str = "cpu") -> None:
        self.fit = lyrics_lstm.objective.start(params, data, seed=seed, device=device)
        self.batches = self.fit._batches

    def epoch(self) -> float:
        """Train on all pieces; return the validation loss."""
        return self.fit.epoch()["nats_per_token"]

    def train(self, n_pieces: int) -> int:
        """Train on so many pieces; return how many tokens they have."""
        n_tokens = 0

        def some(order: torch.Generator) -> Iterator[Piece]:
            nonlocal n_tokens
            for piece in itertools.islice(self.batches(order), n_pieces):
                n_tokens += piece.n_targets
                yield piece

        self.fit._batches = some
        self.fit.model.train()
        self.fit._train()
        self.fit._batches = self.batches
        return n_tokens

    def score(self) -> float:
        """Return the loss over the validation documents."""
        return self.fit._scored("validation")["nats_per_token"]


def rates(loop: PlainLoop | Ours, n_pieces: int, n_scored: int) -> tuple[float, float]:
    """Return the tokens that it trains on, and those that it scores, in a second of CPU time."""
    started = time.process_time()
    n_trained = loop.train(n_pieces)
    trained = time.process_time()
    loop.score()
    return n_trained / (trained - started), n_scored / (time.process_time() - trained)


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters, those that are not given at their defaults."""
    return Space.declared(lyrics_lstm.objective.space).completed(given)


def speeds(data: Lyrics, n_repeats: int, only: str) -> None:
    """Print what each loop does in a second of its own CPU time, and how often as much ours does as the plain one."""
    print("| case | plain, tokens/s | ours | (each) | in bfloat16 | (each) | scoring |\n|---|---|---|---|---|---|---|")
    for name, given in CASES.items():
        if only not in name:
            continue
        params = completed(given)
        loops = [PlainLoop(params, data, 0), *(Ours({**params, **low}, data, 0) for low in PRECISIONS)]
        n_pieces = N_PIECES // (5 if params["n_layers"] > 3 else 1)
        for loop in loops:
            loop.train(3)
        n_scored = len(data.tokens[params["tokens"]].validation.numbers)
        turns = [[rates(loop, n_pieces, n_scored) for loop in loops] for _ in range(n_repeats)]
        cells = [f"{statistics.median(plain[0] for plain, *_ in turns):,.0f}"]
        for ours in (1, 2):
            ratios = [turn[ours][0] / turn[0][0] for turn in turns]
            cells += [f"**{statistics.median(ratios):.2f}**", ", ".join(f"{ratio:.2f}" for ratio in ratios)]
        cells += [f"{statistics.median(turn[1][1] / turn[0][1] for turn in turns):.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def values(data: Lyrics, n_seeds: int, n_epochs: int, only: str) -> None:
    """Print the validation loss after so many epochs of each loop, a seed at a time."""
    print(f"Nats per token on the validation sonnets after {n_epochs} epochs, n = {n_seeds} seeds\n")
    heads = [f"{name}, mean +- sd" for name in ("plain", "ours", "in bfloat16")]
    heads += [f"{name} - plain, +- its standard error" for name in ("ours", "in bfloat16")]
    print(f"| case | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for name, given in CASES.items():
        if "published" in name or only not in name:
            continue
        params = completed({**given, "batch_size": 5, "bptt": 20})
        found = []
        for seed in range(n_seeds):
            loops = [PlainLoop(params, data, seed), *(Ours({**params, **low}, data, seed) for low in PRECISIONS)]
            found.append([[loop.epoch() for _ in range(n_epochs)][-1] for loop in loops])
        cells = [f"{statistics.mean(each):.4f} +- {statistics.stdev(each):.4f}" for each in zip(*found, strict=True)]
        for ours in (1, 2):
            differences = [losses[ours] - losses[0] for losses in found]
            error = statistics.stdev(differences) / math.sqrt(n_seeds)
            cells.append(f"{statistics.mean(differences):+.4f} +- {error:.4f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", default="", help="cases with this in their name")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        if given.values:
            values(lyrics_lstm.objective.prepare("sonnets", cache, cache), given.seeds, given.epochs, given.only)
        else:
            speeds(lyrics_lstm.objective.prepare("tinyshakespeare", cache, cache), given.repeats, given.only)


if __name__ == "__main__":
    main()
