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

Whoever drives it (the service, a test, a notebook) calls `epoch()` as often as it likes, and so decides about pruning,
checkpoints and limits; an objective knows nothing of them. All randomness comes from `seed`: the same seed on the same
device gives the same values. Test rows are for `Training.test()`, which only the training of a winner calls.
"""

from objectives._contract import DataError, Download, Objective, Origin, Prepared, Progress, Training, silent

__all__ = ["DataError", "Download", "Objective", "Origin", "Prepared", "Progress", "Training", "silent"]
