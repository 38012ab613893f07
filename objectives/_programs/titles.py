"""Which category does a product title belong to? A script as a course has it: options, a plain loop, printed lines.

Task      a title's category, one of ten
Data      the bundled PriceRunner titles. A product's titles are all in one part: 8 of 10 products train, 1 validates,
          and 1 is left for a test that this script does not do
Metric    accuracy on validation titles; the most frequent category alone has 0.16
Model     the mean of the words' vectors -> dropout -> one logit a category. Words are numbered by a hash

Option            Space                      Default
--learning-rate   1e-4 .. 1e-1, log          1e-2
--batch-size      64, 128, 256, 512          256
--width           8, 16, 32, 64              32
--dropout         0 .. 0.5                   0.1

Result    defaults, 4 epochs, 5 seeds (0 to 4): accuracy 0.9460 +- 0.0007 after the last, on 3,368 validation titles.
          One core of a shared machine, about 8 s of its time a training: `python -m objectives._programs.titles`
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import zlib
from pathlib import Path

import torch

FILE = Path(__file__).parent.parent / "samples" / "pricerunner_aggregate.csv.gz"
TITLE, PRODUCT, CATEGORY = 1, 3, 6  # columns
N_WORDS = 2**15  # different numbers of words
N_PARTS, VALIDATION, TEST = 10, 8, 9  # parts of the products: the last two do not train

Rows = list[tuple[torch.Tensor, int]]  # of each title: the numbers of its words (n,), and its category


def read(limit: int) -> tuple[Rows, Rows, int]:
    """Return the titles to train on, those to validate on, and how many categories there are."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    random.Random(0).shuffle(lines)  # noqa: S311 - no secret. The file is in the order of its categories
    lines = lines[:limit] if limit else lines
    names = sorted({line[CATEGORY] for line in lines})
    train: Rows = []
    validation: Rows = []
    for line in lines:
        part = zlib.crc32(line[PRODUCT].encode()) % N_PARTS
        words = [zlib.crc32(word.encode()) % N_WORDS for word in line[TITLE].lower().split()]
        if part != TEST and words:
            rows = validation if part == VALIDATION else train
            rows.append((torch.tensor(words), names.index(line[CATEGORY])))
    return train, validation, len(names)


def batch_of(rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the words of all rows one after another, where each row begins, and the categories (rows,)."""
    lengths = torch.tensor([len(words) for words, _ in rows])
    starts = lengths.cumsum(0) - lengths
    return torch.cat([words for words, _ in rows]), starts, torch.tensor([category for _, category in rows])


class Net(torch.nn.Module):
    """The mean of the words' vectors, and a linear layer."""

    def __init__(self, width: int, dropout: float, n_categories: int) -> None:
        super().__init__()
        self.words = torch.nn.EmbeddingBag(N_WORDS, width)
        self.dropout = torch.nn.Dropout(dropout)
        self.out = torch.nn.Linear(width, n_categories)

    def forward(self, words: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Return the logits (rows, categories)."""
        logits: torch.Tensor = self.out(self.dropout(self.words(words, starts)))
        return logits


def main() -> None:
    """Train, and print a line an epoch."""
    parser = argparse.ArgumentParser(description="Learn the categories of product titles.")
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=32, help="of a word's vector")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--titles", type=int, default=0, help="how many to read; 0 is all of them")
    parser.add_argument("--report", action="store_true", help="write each epoch to STUDIES_REPORTS, too")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    order = random.Random(args.seed)  # noqa: S311 - no secret
    train, validation, n_categories = read(args.titles)
    net = Net(args.width, args.dropout, n_categories)
    optimizer = torch.optim.Adam(net.parameters(), lr=args.learning_rate)
    words, starts, categories = batch_of(validation)
    for epoch in range(1, args.epochs + 1):
        net.train()
        order.shuffle(train)
        total = 0.0
        for start in range(0, len(train), args.batch_size):
            rows = train[start : start + args.batch_size]
            x, x_starts, y = batch_of(rows)
            loss = torch.nn.functional.cross_entropy(net(x, x_starts), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(rows)
        net.eval()
        with torch.no_grad():
            accuracy = (net(words, starts).argmax(1) == categories).float().mean().item()
        print(f"epoch {epoch}: train loss {total / len(train):.4f}, validation accuracy {accuracy:.6f}", flush=True)
        if args.report:
            with Path(os.environ["STUDIES_REPORTS"]).open("a") as file:
                report = {"epoch": epoch, "train_loss": total / len(train), "val_accuracy": accuracy}
                file.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
