"""What does a small colour picture show? A convolutional network on 32 x 32 pixels.

Task      a picture of 32 x 32 pixels to one of 10 classes
Data      `cifar10-shapes` is drawn here, synthetic; CIFAR-10 (Krizhevsky, "Learning multiple layers of features from
          tiny images", 2009); or your own pictures, a directory for each class
Own data  a directory with one for each class (and train, val, test above them), a parquet of picture files, an .npz, or
          CIFAR-10's own directory; what is read is in objectives/_data/pictures
Metric    accuracy on validation pictures, a tenth of the train pictures; the test pictures are never looked at
Model     for each width: convolution, batch normalisation, ReLU, maximum over 2 x 2; then dropout and one linear layer
          to the logits. Filters are 3 wide in the first block, 5 in the second, 3 in the third; Adam (AdamW where
          weights decay; Loshchilov and Hutter, ICLR 2019). With [16, 32] the published network, 33,866 weights.

Parameter            Space                                          Default
learning_rate        1e-4 .. 1e-2, log                              5e-3
batch_size           128, 256, 512, 1024                            512
dropout              0 .. 0.7, before the linear layer              0
weight_decay         0, 1e-3, 1e-2, 1e-1, decoupled                 0
augment              none, flip, flip+crop                          none
widths               [16, 32], [32, 64], [64, 128, 256]             [16, 32]
convolutions         1, 2: in each block, the others 3 wide         1
schedule             constant, one_cycle                            constant
epochs               1 .. 200, the length of the cycle              10

Reference, CIFAR-10 as JPEG copies (lossy, so not comparable with published figures), best of 10 epochs on 5,000
validation pictures, CPU: the published setting (the defaults) 68.3 % (67.7 and 68.9, seeds 0 and 1; its authors had
70.2 and 72.0 on the test set, by which they chose); one_cycle over 10 epochs, flip, batch_size 256, learning_rate 1e-2:
72.2 % (71.7 to 73.1, seeds 0 to 2). A constant answer: 10 %. `cifar10-shapes`, the defaults, 6 epochs: 91 % (seed 0).
studies launch cifar10-cnn --dataset FILE.parquet --trials 1 --set max_epochs=10 --set space.epochs=10 --set
    'start_with=[{schedule: one_cycle, augment: flip, batch_size: 256, learning_rate: 0.01}]'
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from objectives._baselines import highest, linear_classifier, thinned
from objectives._contract import Example, PredictingObjective, Progress, Source, silent
from objectives._data.kit.split import ROLES
from objectives._data.pictures import (
    DATASETS,
    ORIGINS,
    SIDE,
    PictureRows,
    PictureSet,
    decoded,
    load_pictures,
    raw_files,
)
from objectives._evidence import Scores, score_classes
from objectives._fit import Fit, Optimizer, seeded
from objectives._metrics import classification, confusion_matrix
from objectives._predict import answered, likeliest, pictures, restored

KERNELS = (3, 5, 3)  # the published two, and one for a third block
CROP_MARGIN = 4
SCORE_BATCH = 1000
WARM_UP = 0.3  # of the cycle, while the rate rises
FIRST_RATE, LAST_RATE = 1 / 25, 1e-5  # of the highest


class Cifar10Cnn(PredictingObjective):
    """See the module."""

    metrics: ClassVar[Mapping[str, str]] = {
        "accuracy": "maximize",
        "balanced_accuracy": "maximize",
        "pr_auc": "maximize",
    }
    datasets = DATASETS
    origins = ORIGINS
    space: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "default": 5e-3},
        "batch_size": {"choices": [128, 256, 512, 1024], "default": 512},
        "dropout": {"low": 0.0, "high": 0.7, "default": 0.0},
        "weight_decay": {"choices": [0.0, 1e-3, 1e-2, 1e-1], "default": 0.0},
        "augment": {"choices": ["none", "flip", "flip+crop"], "default": "none"},
        "widths": {"choices": [[16, 32], [32, 64], [64, 128, 256]], "default": [16, 32]},
        "convolutions": {"choices": [1, 2], "default": 1},
        "schedule": {"choices": ["constant", "one_cycle"], "default": "constant"},
        # A cycle must know its end. After it the rate stays at its lowest, so set this to the study's max_epochs.
        "epochs": {"low": 1, "high": 200, "log": True, "default": 10, "when": {"schedule": ["one_cycle"]}},
    }

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """See Objective."""
        return raw_files(dataset, data)

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> PictureSet:
        """See Objective."""
        return load_pictures(dataset, data, cache, progress)

    def baselines(self, data: PictureSet, params: Mapping[str, Any]) -> dict[str, float]:
        """See Objective: a linear classifier on the pixels, at half their resolution."""
        seen = thinned(len(data.train))
        inputs, asked = halved(data.train.pixels[seen]), halved(data.validation.pixels)
        found = linear_classifier(inputs, data.train.labels[seen], asked, len(data.classes))
        confusions = (
            confusion_matrix(data.validation.labels, scores.argmax(axis=1), len(data.classes)) for scores in found
        )
        return highest(map(classification, confusions), ("accuracy", "balanced_accuracy"))

    def start(self, params: Mapping[str, Any], data: PictureSet, *, seed: int, device: str) -> Fit:
        """See Objective."""
        with seeded(seed, device):
            model = Cnn(params, len(data.classes))
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        roles = {role: PictureBatches(getattr(data, role), device) for role in ROLES}
        train = roles["train"]
        rate, n_batches = params["learning_rate"], -(-len(train) // params["batch_size"])
        adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=params["weight_decay"], fused=True)
        cycle = params["schedule"] == "one_cycle"
        optimizer: Optimizer = OneCycle(adam, rate, params["epochs"] * n_batches) if cycle else adam

        def loss(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
            pixels, labels = batch
            with reduced_precision(device):
                logits = model(pixels)
            return F.cross_entropy(logits.float(), labels), len(labels)

        return Fit(
            model,
            [optimizer],
            batches=lambda order: train.shuffled(params["batch_size"], params["augment"], order),
            loss=loss,
            score=lambda role: score_pictures(model, roles[role], data.classes, device),
            seed=seed,
            device=device,
        )

    def fitted(self, params: Mapping[str, Any], data: PictureSet) -> dict[str, Any]:
        """See PredictingObjective."""
        return {"classes": data.classes}

    def predictor(
        self, params: Mapping[str, Any], fitted: Mapping[str, Any], weights: Mapping[str, Any], *, device: str
    ) -> PicturePredictor:
        """See PredictingObjective."""
        model = restored(Cnn(params, len(fitted["classes"])), weights, device)
        return PicturePredictor(model.to(memory_format=torch.channels_last), fitted["classes"], device)

    def example(self, directory: Path) -> Example:
        """Three classes of sixty noisy pictures, each class of another brightness, as a tree of PNG files."""
        draw = np.random.default_rng(0)

        def write(path: Path, kind: int) -> str:
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = draw.normal(64 + 64 * kind, 60, (SIDE, SIDE, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            return str(path)

        for row in range(180):
            write(directory / "pictures" / f"kind {row % 3}" / f"{row}.png", row % 3)
        asked = [write(directory / "asked" / f"{row}.png", row % 3) for row in range(5)]
        return Example(str(directory / "pictures"), {"batch_size": 128}, [str(directory / "asked"), *asked])


class PicturePredictor:
    """A trained network; see `objectives.Predictor`."""

    def __init__(self, model: Cnn, classes: list[str], device: str) -> None:
        self._model = model
        self._classes = classes
        self._device = device

    def predict(self, source: Source) -> Iterator[dict[str, Any]]:
        """INPUT is a picture, a directory of pictures, or, from stdin, the path of one a line.

        Each is cut to its central square and scaled to 32 x 32. The answer has its three likeliest classes.
        """
        found = pictures(source, "a picture or a directory of them", decoded)
        yield from answered(found, SCORE_BATCH, self._answers)

    def _answers(self, pictures: list[NDArray[np.uint8]]) -> Iterator[dict[str, Any]]:
        pixels = torch.from_numpy(np.stack(pictures)).to(self._device)
        with torch.inference_mode():  # in float32: an answer must not depend on the size of its batch
            logits = self._model(pixels)
        yield from likeliest(logits, self._classes, "class")


class Cnn(nn.Module):
    """Pixels uint8 [n, 32, 32, 3] to logits [n, n_classes]."""

    def __init__(self, params: Mapping[str, Any], n_classes: int) -> None:
        super().__init__()
        widths: list[int] = params["widths"]
        blocks: list[nn.Module] = []
        n_channels = 3
        for width, kernel in zip(widths, KERNELS, strict=False):
            for _ in range(params.get("convolutions", 1) - 1):  # models saved before there was a choice have one
                blocks += [
                    nn.Conv2d(n_channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                n_channels = width
            # Maximum before ReLU gives the same numbers as after it, on a quarter of the points.
            blocks += [
                nn.Conv2d(n_channels, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                nn.MaxPool2d(2),
                nn.ReLU(inplace=True),
            ]
            n_channels = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(params["dropout"])
        self.head = nn.Linear(n_channels * (SIDE >> len(widths)) ** 2, n_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        # [n, 3, 32, 32] in channels-last order, -1 to 1: the view costs nothing and the convolutions run faster on it
        scaled = pixels.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
        logits: Tensor = self.head(self.dropout(self.blocks(scaled).flatten(1)))
        return logits


class PictureBatches:
    """The pictures of one role as one uint8 tensor on the device: scaling a batch is faster than fetching floats."""

    def __init__(self, rows: PictureRows, device: str) -> None:
        self._pixels = torch.from_numpy(rows.pixels).to(device)  # [n, 32, 32, 3]
        self._labels = torch.from_numpy(rows.labels).to(device)  # [n]

    def __len__(self) -> int:
        return len(self._labels)

    def shuffled(self, batch_size: int, augment: str, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pixels [n, 32, 32, 3] and labels [n] of every picture once, in random batches."""
        shuffled = torch.randperm(len(self), generator=order).to(self._labels.device)
        for rows in torch.split(shuffled, batch_size):
            pixels = self._pixels[rows]
            if "flip" in augment:
                pixels = flipped(pixels)
            if "crop" in augment:
                pixels = cropped(pixels)
            yield pixels, self._labels[rows]

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the same, from the first picture to the last, as they are."""
        return zip(*(torch.split(rows, SCORE_BATCH) for rows in (self._pixels, self._labels)), strict=True)


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the means of 2 x 2 pixels [n, side, side, 3], 0 to 1, a row of numbers for each picture."""
    n, side = pixels.shape[:2]
    quads = pixels.reshape(n, side // 2, 2, side // 2, 2, 3)
    means: NDArray[np.float32] = quads.mean(axis=(2, 4), dtype=np.float32) / 255
    return means.reshape(n, -1)


def flipped(pixels: Tensor) -> Tensor:
    """Mirror each picture [n, height, width, 3] left to right with probability one half."""
    mirror = torch.rand(len(pixels), 1, 1, 1, device=pixels.device) < 0.5
    return torch.where(mirror, pixels.flip(2), pixels)


def cropped(pixels: Tensor) -> Tensor:
    """Move each picture [n, side, side, 3] by up to CROP_MARGIN pixels each way; the new border is mid-grey."""
    n, side = pixels.shape[:2]
    padded = F.pad(pixels, (0, 0, *[CROP_MARGIN] * 4), value=128)
    start = torch.randint(0, 2 * CROP_MARGIN + 1, (2, n, 1), device=pixels.device)
    down, right = start + torch.arange(side, device=pixels.device)  # [n, side] each
    picture = torch.arange(n, device=pixels.device)
    return padded[picture[:, None, None], down[:, :, None], right[:, None, :]]


class OneCycle:
    """An optimizer whose rate rises to `highest`, then falls to almost nothing, along cosines, over n_steps steps.

    Smith and Topin, "Super-convergence", 2018; the shape and fractions of torch's OneCycleLR.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, highest: float, n_steps: int) -> None:
        self._optimizer = optimizer
        self._highest = highest
        self._n_steps = n_steps
        self._step = 0

    def rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        top, last = WARM_UP * self._n_steps - 1, self._n_steps - 1
        if step <= top:
            low, way = FIRST_RATE, step / top
        else:
            low, way = LAST_RATE, (last - min(step, last)) / (last - top)
        return self._highest * (low + (1 - low) * (1 - math.cos(math.pi * way)) / 2)

    def step(self) -> None:
        """See Optimizer."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(self._step)
        self._optimizer.step()
        self._step += 1

    def zero_grad(self) -> None:
        """See Optimizer."""
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """See Optimizer."""
        return {"optimizer": self._optimizer.state_dict(), "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Optimizer."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]


def score_pictures(model: Cnn, pictures: PictureBatches, classes: Sequence[str], device: str) -> Scores:
    """Return what `score_classes` has, over every picture."""

    def answered() -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, labels in pictures.in_order():
            with reduced_precision(device):
                logits = model(pixels)
            yield logits.float(), labels

    return score_classes(answered(), len(pictures), classes)


def reduced_precision(device: str) -> AbstractContextManager[Any]:
    """bfloat16 where the device has units for it; on a CPU, and on a GPU before 2020, it is slower than float32."""
    if device.startswith("cuda") and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


objective = Cifar10Cnn()
