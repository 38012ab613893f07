"""The science: what a trial trains and how well it did. Never imports `studies`.

The contract an objective fulfils
=================================
An objective is one module with a variable `objective`, an instance of a subclass of `Objective` below (your own may be
anywhere: `objective: myproject.models:Classifier` in a study file names the class itself).

It declares, as plain data in the language of a study file:

- `metrics`: the names its epochs report, each with "maximize" or "minimize". They come from validation rows.
- `space`: its parameters. `{"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3}` is a range (whole numbers when
  `low` and `high` are), `{"choices": [64, 128], "default": 128}` a choice; `"when": {"optimizer": ["sgd"]}` makes a
  parameter exist only then. A study file narrows or fixes them.
- `datasets`: the names of its data sets, each with one sentence; users may give a path to a file instead of a name.
- `origins`: for each data set, its licence and where to get files that do not ship (`Origin`, `Download`).

and it does three things:

- `files(dataset, data)` says where the raw files are, or which one is missing.
- `prepare(dataset, data, cache, progress)` turns raw files into memory-mapped arrays, once on each machine.
- `start(params, data, seed, device)` returns a `Training`: `epoch()` trains one epoch and returns its metrics,
  `state_dict()` and `load_state_dict()` move it to another process, bit for bit.

A metric `baseline_NAME` is what a trivial answer gets in the metric NAME. A `Training` may have `evidence()`: plain
JSON, at most 64 KiB, about the predictions behind the metrics that the last `epoch()` returned. That of the best epoch
is stored with the trial. The report draws what it knows: `classes` (names) with `confusion` (counts, a row for each
true class), what `objectives._evidence.confused` returns for many classes, and `groups`: `by`, `metric` and
`values`, pairs of a group's name and its value.

The caller (the service, a test, a notebook) calls `epoch()` as often as it wants, and so decides about pruning,
checkpoints and limits; an objective knows nothing of them. All randomness comes from `seed`: the same seed on the same
device gives the same values. Test rows are for `Training.test()`, which is only called when a winner is trained.

An optional `example(directory)` writes tiny data below a directory and returns an `Example`: the data set to prepare,
quick parameters, and what to ask the trained model. The tests use it (`studies.testing.ObjectiveSuite`); without it
they train on the first of `datasets` that is there, and ask the model nothing.

A `PredictingObjective` can also be used once it is trained. These are optional; a model without them is trained,
scored and saved, but cannot predict:

- `Training.weights()`: the tensors that a prediction needs, by name (`state_dict()` has the optimizer's, too).
- `fitted(params, data)`: what was fitted on train rows, as plain JSON data: a vocabulary, class names, a scale.
- `predictor(params, fitted, weights, device)`: from these three, without the data, something with
  `predict(source)`, which yields an answer for each line, row or picture, independent of those beside it. Its
  keyword-only arguments are options of `studies predict`: typed and with a default, and described in its docstring
  as here, each by its name and a colon.
- `with_validation()` of the prepared data: the same with the validation rows among the train rows, too. What a
  training on it says of them is no validation any more.

The smallest one, which trains nothing but has all that a study needs (a real one: `objectives/meli_cnn.py`):

>>> class Steps:
...     def __init__(self, params, seed):
...         self.params, self.n = params, 0
...     def epoch(self):
...         self.n += 1
...         return {"loss": (self.params["x"] - 2) ** 2 + 1 / self.n}
...     def state_dict(self):
...         return {"n": self.n}
...     def load_state_dict(self, state):
...         self.n = state["n"]
>>> class Parabola(Objective):
...     metrics = {"loss": "minimize"}
...     datasets = {"none": "It needs none."}
...     space = {"x": {"low": -10.0, "high": 10.0, "default": 0.0}}
...     def prepare(self, dataset, data, cache, progress=silent):
...         return None
...     def start(self, params, data, *, seed, device):
...         return Steps(params, seed)
>>> training = Parabola().start({"x": 1.0}, None, seed=0, device="cpu")
>>> training.epoch(), training.epoch()
({'loss': 2.0}, {'loss': 1.5})
"""

from objectives._contract import (
    Answer,
    DataError,
    Download,
    Example,
    Objective,
    Origin,
    PredictingObjective,
    Predictor,
    Prepared,
    Progress,
    Source,
    Training,
    silent,
)

__all__ = [
    "Answer",
    "DataError",
    "Download",
    "Example",
    "Objective",
    "Origin",
    "PredictingObjective",
    "Predictor",
    "Prepared",
    "Progress",
    "Source",
    "Training",
    "silent",
]
