"""What comes next in a song? A recurrent network that reads a text token by token, and can write on.

Task      the tokens of a text (words or characters) so far to the next one
Data      `sonnets` and `tinyshakespeare` ship with the package; `songdata` is Kaggle's song lyrics; or your own file
Own data  a .txt, a directory of them, or CSV or JSON with a column text, lyrics or lyric; see objectives/_data/lyrics
Metric    loss on validation documents in nats per token; a document (song, poem, 4,000 characters of a play) is whole
          in train, validation or test, and the vocabulary is that of train. Also: perplexity, which is e to the
          loss, and bits per character, where an unknown word costs as much as spelling it. Only the last compares words
          with characters: fix `tokens`, or make `bits_per_character` the study's metric.
Model     embedding -> convolution over the last few tokens, if any -> LSTM layers -> logits, by the embedding itself
          when tied (Press and Wolf, EACL 2017); dropout between all of them (Zaremba et al., "Recurrent neural network
          regularization", 2014). The train documents, in a new order each epoch, are cut into batch_size columns and
          read bptt tokens at a time; the state is kept from one piece to the next. The rate halves after an epoch that
          did not lower the validation loss.

Parameter            Space                                          Default
tokens               word, character                                word
n_layers             1, 2, 3, 10                                    1
hidden_size          128, 300, 512, also of the embedding           128
dropout              0 .. 0.5                                       0.2
tied                 true, false                                    true
convolution          none, 3, 5 tokens wide                         none
optimizer            sgd, adam                                      adam
sgd_learning_rate    1 .. 30, log, with sgd                         20
adam_learning_rate   1e-4 .. 1e-2, log, with adam                   3e-3
bptt                 20, 40, 70                                     40
batch_size           5, 10, 20                                      10
clip                 0.25, 1, of the gradient's norm                0.25
precision            float32, bfloat16, of the products            float32

bfloat16 halves the bits of what training multiplies, weights and their updates apart; scores are of float32. It takes
.55 to .8 of the time where the processor has units for it (lscpu: avx512_bf16 or amx_bf16), more where it has not,
and learns as much; a study should not mix them. Measured: benchmarks/results/training-lyrics.md.

Reference, `sonnets`, words, the defaults with bptt 20 and batch_size 5, best of 7 epochs: 4.208 nats per token (4.207
to 4.209, seeds 0 to 2, CPU, 1 thread, 7 s), perplexity 67, against 4.848 for unigrams. The published setting (10
layers of 300, sgd at 20) had 4.95 after two epochs of a minute (seed 0): as its authors found, no better than unigrams.
studies launch lyrics-lstm --trials 1 --set max_epochs=7 --set 'start_with=[{bptt: 20, batch_size: 5}]'
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from objectives._contract import DataError, Example, PredictingObjective, Progress, Source, silent
from objectives._data.lyrics import (
    DATASETS,
    END,
    ORIGINS,
    UNKNOWN,
    Lyrics,
    Stream,
    Tokens,
    Vocabulary,
    files_of,
    load_lyrics,
    locate,
)
from objectives._example import write_csv
from objectives._fit import Fit, seeded
from objectives._lstm import Lstm, State, total_nats
from objectives._ngrams import MAX_TOKENS, nats_per_token
from objectives._output import PADDING
from objectives._predict import file_in, open_lines, restored

# Before the first use of a GPU: without it cuDNN's recurrent nets may add in another order each time. Only where there
# is one, since torch reads it again, which takes as long as the product, before each product of matrices.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

SCORE_COLUMNS = 20
SCORE_LENGTH = 40  # the logits of 800 tokens at a time: of 2,000, and 50,000 words, they would be 400 MB
NGRAMS = {"word": 3, "character": 6}  # the longest of the baseline
LONGEST_PROMPT = 1 << 20  # characters
MAX_EXPONENT = 700.0  # e to more than that is no float


class LyricsLstm(PredictingObjective):
    """See the module."""

    metrics: ClassVar[Mapping[str, str]] = {
        "nats_per_token": "minimize",
        "perplexity": "minimize",
        "bits_per_character": "minimize",
    }
    datasets = DATASETS
    origins = ORIGINS
    baseline_model = "an n-gram model"
    space: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tokens": {"choices": ["word", "character"], "default": "word"},
        "n_layers": {"choices": [1, 2, 3, 10], "default": 1},
        "hidden_size": {"choices": [128, 300, 512], "default": 128},
        "dropout": {"low": 0.0, "high": 0.5, "default": 0.2},
        "tied": {"choices": [True, False], "default": True},
        "convolution": {"choices": ["none", 3, 5], "default": "none"},
        "optimizer": {"choices": ["sgd", "adam"], "default": "adam"},
        # Two parameters, since the ranges do not overlap: in a common range most values that a sampler draws would be
        # useless for the drawn optimizer, and what it learns about one optimizer would mislead it about the other.
        "sgd_learning_rate": {"low": 1.0, "high": 30.0, "log": True, "default": 20.0, "when": {"optimizer": ["sgd"]}},
        "adam_learning_rate": {
            "low": 1e-4, "high": 1e-2, "log": True, "default": 3e-3, "when": {"optimizer": ["adam"]},
        },
        "bptt": {"choices": [20, 40, 70], "default": 40},
        "batch_size": {"choices": [5, 10, 20], "default": 10},
        "clip": {"choices": [0.25, 1.0], "default": 0.25},
        "precision": {"choices": ["float32", "bfloat16"], "default": "float32"},
    }  # fmt: skip

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """See Objective."""
        return list(files_of(locate(dataset, data)).values())

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Lyrics:
        """See Objective."""
        return load_lyrics(dataset, data, cache, progress)

    def baselines(self, data: Lyrics, params: Mapping[str, Any]) -> dict[str, float]:
        """See Objective: the tokens are those of these parameters."""
        tokens = data.tokens[params["tokens"]]
        train, asked = (some_of(stream, MAX_TOKENS) for stream in (tokens.train, tokens.validation))
        nats = nats_per_token(train, asked, len(tokens.vocabulary), NGRAMS[tokens.kind])
        return in_every_unit(nats, tokens.validation)

    def start(self, params: Mapping[str, Any], data: Lyrics, *, seed: int, device: str) -> LyricsFit:
        """See Objective."""
        return LyricsFit(params, data.tokens[params["tokens"]], seed=seed, device=device)

    def fitted(self, params: Mapping[str, Any], data: Lyrics) -> dict[str, Any]:
        """See PredictingObjective."""
        return {"vocabulary": data.tokens[params["tokens"]].vocabulary}

    def predictor(
        self, params: Mapping[str, Any], fitted: Mapping[str, Any], weights: Mapping[str, Any], *, device: str
    ) -> Writer:
        """See PredictingObjective."""
        vocabulary = Vocabulary(params["tokens"], fitted["vocabulary"])
        return Writer(restored(Lstm(params, len(vocabulary.vocabulary)), weights, device), vocabulary)

    def example(self, directory: Path) -> Example:
        """Twenty songs of sixty words each, in the format of songdata.csv; a word depends on the one before it."""
        draw = random.Random(0)  # noqa: S311 - of an example
        rows = [["artist", "song", "link", "text"]]
        for row in range(20):
            words = [draw.randrange(9)]
            for _ in range(59):
                words.append((words[-1] * 2 + draw.randrange(2)) % 9)
            rows.append(["Anna", f"Song {row}", "", " ".join("abcdefghi"[word] * 2 for word in words)])
        quick = {"batch_size": 5, "bptt": 20, "adam_learning_rate": 1e-2}
        return Example(write_csv(directory / "songs.csv", rows), quick, ["aa bb cc", "aa bb cc"])


class LyricsFit(Fit):
    """A training whose rate halves when the validation loss does not fall."""

    def __init__(self, params: Mapping[str, Any], tokens: Tokens, *, seed: int, device: str) -> None:
        with seeded(seed, device):
            model = Lstm(params, len(tokens.vocabulary)).to(device)
        self.optimizer = Clipped(model, params)
        self.best = math.inf
        state: State | None = None

        def loss(piece: Piece) -> tuple[Tensor, int]:
            nonlocal state
            before = None if piece.first else state
            total, state = total_nats(model, piece.inputs, piece.targets, before, params["precision"])
            return total / piece.n_targets, piece.n_targets

        super().__init__(
            model,
            [self.optimizer],
            batches=lambda order: shuffled(tokens.train, params["batch_size"], params["bptt"], order, device),
            loss=loss,
            score=lambda role: score_stream(model, getattr(tokens, role), device),
            seed=seed,
            device=device,
        )

    def epoch(self) -> dict[str, float]:
        """See Fit."""
        metrics = super().epoch()
        if metrics["nats_per_token"] < self.best:
            self.best = metrics["nats_per_token"]
        else:
            self.optimizer.halve()
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """See Fit."""
        return super().state_dict() | {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Fit."""
        super().load_state_dict(state)
        self.best = state["best"]


class Writer:
    """A trained network; see `objectives.Predictor`."""

    def __init__(self, model: Lstm, vocabulary: Vocabulary) -> None:
        self._model = model
        self._vocabulary = vocabulary

    def predict(self, source: Source, *, temperature: float = 1.0, length: int = 100, seed: int = 0) -> Iterator[str]:
        """INPUT is the beginning of a text, or a file of it; leave it empty to begin a new text.

        The answer is how the model goes on, never with an unknown token.

        temperature: what logits are divided by; near 0 the likeliest token always wins.
        length: of the answer, in tokens.
        seed: the same seed gives the same text.
        """
        if not 0 < temperature < math.inf:
            raise DataError(f"the temperature is {temperature:g}; expected a number above 0, such as 0.8")
        if length < 1:
            raise DataError(f"the length is {length}; expected 1 token or more")
        yield self._vocabulary.decode(list(self._written(read_prompt(source), temperature, length, seed)))

    def _written(self, prompt: str, temperature: float, length: int, seed: int) -> Iterator[int]:
        device = self._model.embedding.weight.device
        draw = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            inputs = torch.tensor([END, *self._vocabulary.encode(prompt)], device=device)[:, None]
            state = None
            for _ in range(length):
                logits, state = self._model(inputs, state)
                scores = logits[-1, 0].cpu().double()  # double, so that no temperature above 0 is rounded to 0
                scores[UNKNOWN] = -torch.inf
                odds = ((scores - scores.max()) / temperature).softmax(0)
                token = int(torch.multinomial(odds, 1, generator=draw))
                yield token
                inputs = torch.tensor([[token]], device=device)


def read_prompt(source: Source) -> str:
    """Return the text of an INPUT. Raises DataError if it cannot be read or is longer than LONGEST_PROMPT."""
    file = file_in(source, "the beginning of a text, or a file of it")
    if file is None:
        return str(source)
    text = ""
    with open_lines(file) as lines:
        for line in lines:
            text += line
            if len(text) > LONGEST_PROMPT:
                raise lines.error(f"a text of more than {LONGEST_PROMPT:,} characters", "expected its last part")
    return text.rstrip("\r\n")


class Clipped:
    """An optimizer that first scales the gradient down to a norm of at most `clip` (Pascanu et al., ICML 2013)."""

    def __init__(self, model: nn.Module, params: Mapping[str, Any]) -> None:
        self._parameters = list(model.parameters())
        self._clip = params["clip"]
        self._optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(self._parameters, lr=params["sgd_learning_rate"], fused=True)
            if params["optimizer"] == "sgd"
            else torch.optim.Adam(self._parameters, lr=params["adam_learning_rate"], fused=True)
        )

    def halve(self) -> None:
        """Halve the learning rate."""
        for group in self._optimizer.param_groups:
            group["lr"] /= 2

    def step(self) -> None:
        """See Optimizer."""
        nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._optimizer.step()

    def zero_grad(self) -> None:
        """See Optimizer."""
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """See Optimizer."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Optimizer."""
        self._optimizer.load_state_dict(state)


class Piece(NamedTuple):
    """What is read in one step: inputs and targets [length, n_columns], how many targets count, is it the first."""

    inputs: Tensor
    targets: Tensor
    n_targets: int
    first: bool


def some_of(stream: Stream, most: int) -> NDArray[np.int64]:
    """Return about so many tokens at most: all documents, or every second (third, ...) of them."""
    documents = list(pairwise(stream.offsets.tolist()))[:: -(-len(stream.numbers) // most)]
    return np.concatenate([stream.numbers[begin:end] for begin, end in documents]).astype(np.int64)


def shuffled(stream: Stream, n_columns: int, length: int, order: torch.Generator, device: str) -> Iterator[Piece]:
    """Yield the pieces of all documents put in a random order."""
    documents = list(pairwise(stream.offsets.tolist()))
    chosen = [documents[index] for index in torch.randperm(len(documents), generator=order).tolist()]
    return pieces(np.concatenate([stream.numbers[begin:end] for begin, end in chosen]), n_columns, length, device)


def pieces(numbers: NDArray[np.int32], n_columns: int, length: int, device: str) -> Iterator[Piece]:
    """Cut a text into n_columns columns; yield them `length` tokens at a time.

    Every token is a target once; its input is the one before it, END before the first. Where the last column is
    shorter, the targets are PADDING.
    """
    n_rows = -(-len(numbers) // n_columns)
    targets = np.full(n_rows * n_columns, PADDING, dtype=np.int64)
    targets[: len(numbers)] = numbers
    inputs = np.full(n_rows * n_columns, END, dtype=np.int64)
    inputs[1 : len(numbers)] = numbers[:-1]
    columns = [array.reshape(n_columns, n_rows).T.copy() for array in (inputs, targets)]
    counting = np.count_nonzero(columns[1] != PADDING, axis=1)
    on_device = [torch.from_numpy(array).to(device) for array in columns]
    for begin in range(0, n_rows, length):
        now = slice(begin, begin + length)
        yield Piece(on_device[0][now], on_device[1][now], int(counting[now].sum()), begin == 0)


def score_stream(model: Lstm, stream: Stream, device: str) -> dict[str, float]:
    """Return the loss over every token of the documents, in order, and that of a model that ignores its input.

    The columns do not depend on the parameters, so that the values of all trials compare.
    """
    total, state = torch.zeros((), device=device), None
    for piece in pieces(stream.numbers, SCORE_COLUMNS, SCORE_LENGTH, device):
        logits, state = model(piece.inputs, state)
        targets = piece.targets.flatten()
        total += F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PADDING, reduction="sum")
    per_token = total.item() / len(stream.numbers)
    baseline = in_every_unit(stream.unigram_nats, stream)
    return in_every_unit(per_token, stream) | {f"baseline_{name}": value for name, value in baseline.items()}


def in_every_unit(nats_per_token: float, stream: Stream) -> dict[str, float]:
    """Return a loss over the documents in the units that people compare by."""
    nats = nats_per_token * len(stream.numbers) + stream.spelling_nats
    return {
        "nats_per_token": nats_per_token,
        "perplexity": math.exp(min(nats_per_token, MAX_EXPONENT)),
        "bits_per_character": nats / math.log(2) / stream.n_characters,
    }


objective = LyricsLstm()
