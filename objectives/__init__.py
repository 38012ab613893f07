"""The science: what a trial trains and how well it did. Never imports `studies`.

The contract an objective fulfils
=================================
An objective is one module with a variable `objective`, an instance of a subclass of `Objective` below (a user's own
may live anywhere: `objective: myproject.models:Classifier` in a study file names the class itself).

It declares, as plain data in the language of a study file:

- `metrics`: the names its epochs report, each with "maximize" or "minimize". They come from validation rows.
- `space`: its parameters. `{"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3}` is a range (whole numbers when
  `low` and `high` are), `{"choices": [64, 128], "default": 128}` a choice; `"when": {"optimizer": ["sgd"]}` makes a
  parameter exist only then. A study file narrows or fixes them.
- `datasets`: the names of its data sets, each with one sentence; a path to a file is welcome in place of a name.
- `origins`: for each of those, its licence and where files that do not ship may be had (`Origin`, `Download`).

and it does three things:

- `files(dataset, data)` says where the raw files are, or which one is missing.
- `prepare(dataset, data, cache, progress)` turns raw files into arrays, once a machine, and returns them memory-mapped.
- `start(params, data, seed, device)` returns a `Training`: `epoch()` trains one epoch and returns its metrics,
  `state_dict()` and `load_state_dict()` carry it over to another process, bit for bit.

A metric `baseline_NAME` is what a trivial answer gets of the metric NAME. A `Training` may also have `evidence()`:
plain JSON, at most 64 KiB of it, about the predictions behind the metrics that the last `epoch()` returned; that of the
best epoch is kept beside the trial's value. The report draws what it knows: `classes` (names) with `confusion` (counts,
a row for each true class), what `objectives._evidence.confused` has instead of many classes, and `groups`: `by`,
`metric` and `values`, pairs of a group's name and its value.

Whoever drives it (the service, a test, a notebook) calls `epoch()` as often as it likes, and so decides about pruning,
checkpoints and limits; an objective knows nothing of them. All randomness comes from `seed`: the same seed on the same
device gives the same values. Test rows are for `Training.test()`, which only the training of a winner calls.

A `PredictingObjective` can also be used once it is trained. These are optional; a model without them is trained,
scored and saved, but answers nothing:

- `Training.weights()`: the tensors that a prediction needs, by name (`state_dict()` has the optimizer's, too).
- `fitted(params, data)`: what was fitted on train rows, as plain JSON data: a vocabulary, class names, a scale.
- `predictor(params, fitted, weights, device)`: from these three, without the data, something with
  `predict(source)`, which yields an answer for each line, row or picture, independent of those beside it.
- `with_validation()` of the prepared data: the same with the validation rows among the train rows, too. What a
  training on it says of them is no validation any more.
"""

from objectives._contract import (
    Answer,
    DataError,
    Download,
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
