"""How much faster cifar10_cnn trains than a plain loop in its authors' style: the same net, the same pictures.

    python benchmarks/training_images.py DATASET [--threads 2] [--rounds 3] [--epochs 2]

DATASET is one of cifar10_cnn's data sets or a path to pictures, `cifar10` being looked for in STUDIES_DATA. The plain
loop: a torchvision-like data set that makes a PIL picture of each item, ToTensor and Normalize on it, a DataLoader in
the training process, float32 in torch's default order, `.item()` at each step. Both train from the same seed; each
round times one after the other, so that a slow moment of the machine meets both. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from objectives._data.pictures import PictureRows, PictureSet
from objectives.cifar10_cnn import PictureBatches, objective
from studies.spec.space import Space

RATE, BATCH = 0.005, 512


class Items(Dataset[tuple[Tensor, int]]):
    """Pictures as torchvision's CIFAR10 gives them: a PIL picture an item, then its transform."""

    def __init__(self, rows: PictureRows) -> None:
        self.rows = rows
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.rows.pixels[index])), int(self.rows.labels[index])


class PlainNet(nn.Module):
    """The published network as published."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        self.two = nn.Sequential(nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.out = nn.Linear(2048, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [n, 3, 32, 32] to logits [n, 10]."""
        answer: Tensor = self.out(self.two(self.one(pictures)).flatten(1))
        return answer


def ours(data: PictureSet, n_epochs: int, seed: int, device: str = "cpu") -> tuple[float, float]:
    """Train; train pictures per second, validation accuracy after the last epoch."""
    params = Space.declared(objective.space).completed({"learning_rate": RATE, "batch_size": BATCH})
    training = objective.start(params, data, seed=seed, device=device)
    epochs = [training.epoch() for _ in range(n_epochs)]
    return statistics.median(epoch["examples_per_s"] for epoch in epochs), epochs[-1]["accuracy"]


def plain(data: PictureSet, n_epochs: int, seed: int, device: str = "cpu") -> tuple[float, float]:
    """Train the authors' way; the same two numbers."""
    torch.manual_seed(seed)
    net, loss_of = PlainNet().to(device), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    speeds = []
    for _ in range(n_epochs):
        net.train()
        started, total = time.perf_counter(), 0.0
        for pictures, labels in DataLoader(Items(data.train), BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(net(pictures.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()
        speeds.append(len(data.train) / (time.perf_counter() - started))
    net.eval()
    with torch.no_grad():
        found = ((net(p.to(device)).argmax(1).cpu(), y) for p, y in DataLoader(Items(data.validation), 1000))
        right = sum(int((answers == y).sum()) for answers, y in found)
    return statistics.median(speeds), right / len(data.validation)


def per_second(batches: Iterator[Any], n: int) -> float:
    """Pictures a second of a loader alone, scaled and normalised."""
    started = time.perf_counter()
    for pictures, _ in batches:
        if pictures.dtype == torch.uint8:
            pictures.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
    return n / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as cache:
        data = objective.prepare(given.dataset, Path(os.environ.get("STUDIES_DATA", "data")), Path(cache))
        found: dict[str, list[tuple[float, float, float]]] = {"ours": [], "plain": []}
        for seed in range(given.rounds):
            n, order = len(data.train), torch.Generator().manual_seed(seed)
            fast = per_second(PictureBatches(data.train, "cpu").shuffled(BATCH, "none", order), n)
            slow = per_second(iter(DataLoader(Items(data.train), BATCH, shuffle=True)), n)
            found["ours"].append((*ours(data, given.epochs, seed), fast))
            found["plain"].append((*plain(data, given.epochs, seed), slow))
    print(
        f"{len(data.train):,} train pictures, {given.threads} threads, {given.rounds} rounds of {given.epochs} epochs, "
    )
    print(f"batch {BATCH}, {platform.machine()}, torch {torch.__version__}. Median (least to most) over the rounds.\n")
    print("| | training, images/s | validation accuracy | loader alone, images/s |\n|---|---|---|---|")
    for name, rows in found.items():
        cells = (
            f"{statistics.median(column):{form}} ({min(column):{form}} to {max(column):{form}})"
            for column, form in zip(zip(*rows, strict=True), (",.0f", ".3f", ",.0f"), strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} |")
    training, loader = (
        [a[index] / b[index] for a, b in zip(found["ours"], found["plain"], strict=True)] for index in (0, 2)
    )
    print(
        f"| ratio in a round | {statistics.median(training):.2f} ({min(training):.2f} to {max(training):.2f}) | "
        f"| {statistics.median(loader):.1f} ({min(loader):.1f} to {max(loader):.1f}) |"
    )


if __name__ == "__main__":
    main()
