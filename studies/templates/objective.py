"""The objective of the study STUDY: it learns the last column of a CSV file, a class, from the others, numbers."""

import csv
import hashlib
import math
from pathlib import Path
from types import SimpleNamespace

import torch


class Classifier:  # what is tuned: its metrics, data and parameters, and how a training starts
    metrics = {"accuracy": "maximize"}
    datasets = {"STUDY.csv": "Size and weight of 600 fruits, made up."}
    space = {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True, "default": 1e-2},
        "width": {"choices": [4, 16, 64], "default": 16},
        "batch_size": {"choices": [16, 32, 64], "default": 32},
    }

    def prepare(self, dataset, data, cache, progress):  # once on each machine; every training gets what it returns
        with open(dataset, newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if any(row)] or [[]]
        columns, classes = header[:-1], sorted({row[-1] for row in rows})
        x = torch.tensor([numbers(row[:-1], columns) for row in rows])
        y = torch.tensor([classes.index(row[-1]) for row in rows])
        roles = [role(row[:-1]) for row in rows]
        parts = {name: [n for n, given in enumerate(roles) if given == name] for name in dict.fromkeys(roles)}
        if not columns or len(classes) < 2 or len(parts) < 3:  # what is raised here is all that the command says
            raise ValueError(f"{dataset} has {len(rows)} rows of {columns} and {len(classes)} classes: too few")
        mean, scale = x[parts["train"]].mean(0), x[parts["train"]].std(0).clamp(min=1e-9)  # of train rows alone
        return SimpleNamespace(
            name=dataset,
            sha256=hashlib.sha256(repr(rows).encode()).hexdigest(),  # a study refuses to go on with other data
            summary={name: len(part) for name, part in parts.items()},
            fitted={"columns": columns, "classes": classes, "mean": mean.tolist(), "scale": scale.tolist()},
            **{name: ((x[part] - mean) / scale, y[part]) for name, part in parts.items()},
        )

    def start(self, params, data, *, seed, device):  # a training before its first epoch
        return Training(params, data, seed, device)

    def fitted(self, params, data):  # what a prediction needs besides parameters and weights, as plain JSON data
        return data.fitted

    def predictor(self, params, fitted, weights, *, device):  # the trained model, made from these alone
        net = network(params, fitted)
        net.load_state_dict(weights)
        return Predictor(net.to(device), fitted, device)


def numbers(cells, columns):  # of a row, one for each column
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        found = [math.nan]
    if len(found) != len(columns) or not all(map(math.isfinite, found)):
        raise ValueError(f"{','.join(cells)!r} is not {', '.join(columns)}, a number each")
    return found


def role(cells):  # by a row's content: equal rows are never in two parts, and a new row moves no other
    share = hashlib.sha256(",".join(cells).encode()).digest()[0] / 256
    return "train" if share < 0.6 else "validation" if share < 0.8 else "test"


def network(params, fitted):
    n_inputs, width, n_classes = len(fitted["mean"]), params["width"], len(fitted["classes"])
    return torch.nn.Sequential(torch.nn.Linear(n_inputs, width), torch.nn.ReLU(), torch.nn.Linear(width, n_classes))


class Training:  # one trial, between two epochs
    def __init__(self, params, data, seed, device):
        self.data, self.device, self.batch_size = data, device, params["batch_size"]
        self.order = torch.Generator().manual_seed(seed)  # of the rows; all that is random draws from the seed
        torch.manual_seed(seed)  # the first weights
        self.net = network(params, data.fitted).to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), params["learning_rate"])

    def epoch(self):  # returns the metrics of validation rows, and train_loss, which the verdicts need
        x, y = (part.to(self.device) for part in self.data.train)
        total = 0.0
        for rows in torch.randperm(len(x), generator=self.order).split(self.batch_size):
            loss = torch.nn.functional.cross_entropy(self.net(x[rows]), y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(rows)
        metrics, self.confusion = self.score(*self.data.validation)
        return {**metrics, "train_loss": total / len(x)}

    @torch.no_grad()
    def score(self, x, y):  # also how often each class (row) was taken for which (column)
        answers, n = self.net(x.to(self.device)).argmax(1).cpu(), len(self.data.fitted["classes"])
        confusion = torch.bincount(y * n + answers, minlength=n * n).view(n, n)
        right, most = confusion.trace().item(), confusion.sum(1).max().item()  # most: of the most frequent class
        return {"accuracy": right / len(y), "baseline_accuracy": most / len(y)}, confusion.tolist()

    def evidence(self):  # what the report draws of the best epoch
        return {"classes": self.data.fitted["classes"], "confusion": self.confusion}

    def test(self):  # called once, by `studies train`; a study never scores test rows
        return self.score(*self.data.test)[0]

    def weights(self):  # what a prediction needs
        return self.net.state_dict()

    def state_dict(self):  # all that the next epoch depends on: a trial resumes to the value that it would have had
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "order": self.order.get_state()}

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])


class Predictor:  # the trained model
    def __init__(self, net, fitted, device):
        self.net, self.device, self.classes, self.columns = net, device, fitted["classes"], fitted["columns"]
        self.mean, self.scale = torch.tensor(fitted["mean"]), torch.tensor(fitted["scale"])

    @torch.no_grad()
    def predict(self, source):
        """A row's numbers with commas between them, a row a line: the text itself, or a file, such as the study's."""
        if isinstance(source, str):  # otherwise a stream of bytes, such as stdin
            source = (Path(source).read_bytes() if Path(source).is_file() else source.encode()).splitlines()
        for row in csv.reader(line.decode("utf-8-sig", "replace") for line in source):
            row = row[: len(self.columns)]  # without a file's last column, the class
            if any(row) and row != self.columns:  # a blank line, and a file's header
                yield self.answer(row)

    def answer(self, row):
        try:
            x = (torch.tensor(numbers(row, self.columns)) - self.mean) / self.scale
        except ValueError as error:
            return {"error": str(error)}  # in its place; the other rows are answered
        shares = self.net(x[None].to(self.device)).softmax(1)[0]
        return {"class": self.classes[int(shares.argmax())], "probability": round(shares.max().item(), 4)}
