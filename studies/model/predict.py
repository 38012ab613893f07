"""Asking a trained model: from INPUT to lines of text, a few answers at a time."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from studies.errors import ModelRefused, ObjectiveRefused, WrongInput
from studies.model import open_model, read_params
from studies.run.objective import import_objective

Answer: TypeAlias = "Mapping[str, Any] | str"  # one row, or a text to show as it is: the objectives' contract

ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"})  # as PostgreSQL's COPY has them


class Asked:
    """A model that can be asked. It needs its directory, and neither a storage nor the data it was trained on.

    Raises ModelRefused, and ObjectiveRefused where the objective does not predict.
    """

    def __init__(self, directory: Path, device: str) -> None:
        path = read_params(directory).objective
        objective = import_objective(path)
        if not hasattr(objective, "predictor"):
            raise ObjectiveRefused(
                reason=f"{path!r} lacks predictor(params, fitted, weights, device), so its models are saved but answer "
                "nothing; objectives/__init__.py says what it returns"
            )
        model = open_model(directory)
        if model.weights is None:
            raise ObjectiveRefused(
                reason=f"the training of {path!r} lacks weights(), so {directory} holds its whole state; give it that, "
                "and train again"
            )
        try:
            self._predictor = objective.predictor(model.trained.params, model.fitted, model.weights, device=device)
        except Exception as error:  # a KeyError or torch's RuntimeError of many lines, where parts are another model's
            first = (str(error).splitlines() or [""])[0]
            reason = f"its parts are not those of one model of {path} ({type(error).__name__}: {first})"
            raise ModelRefused(path=directory, reason=reason) from None

    @property
    def says(self) -> str:
        """What INPUT is, in the objective's words."""
        return " ".join((self._predictor.predict.__doc__ or "INPUT is what the objective predicts from.").split())

    def answers(self, source: str | BinaryIO, options: Mapping[str, Any]) -> Iterator[Answer]:
        """Yield the answers to INPUT as it was typed, or to what a stream holds.

        options: by name, for a predictor that takes them. Raises WrongInput for what cannot be answered, after the
        answers to what came before it.
        """
        known = inspect.signature(self._predictor.predict).parameters
        for name in options:
            if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
                raise WrongInput(reason=f"--{name} is not for this model; {self.says}")
        try:
            yield from self._predictor.predict(source, **options)
        except ValueError as error:  # the objectives' DataError among them
            raise WrongInput(reason=str(error)) from None


def lines(answers: Iterable[Answer], as_json: bool) -> Iterator[str]:
    """Yield answers as lines: JSON objects, or tab-separated below the columns' names; a text stays as it is."""
    header = None
    for answer in answers:
        if as_json:
            yield json.dumps({"text": answer} if isinstance(answer, str) else answer, ensure_ascii=False)
        elif isinstance(answer, str):
            yield answer
        else:
            if header is None:
                header = list(answer)
                yield "\t".join(map(_cell, header))
            yield "\t".join(_cell(answer[name]) for name in header)


def _cell(value: Any) -> str:
    return str(value).translate(ESCAPES)
