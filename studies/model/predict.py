"""Asking a trained model: from INPUT to lines of text, a few answers at a time."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, get_args, get_type_hints

from studies.errors import ModelRefused, ObjectiveRefused, RowsUnanswered, WrongInput
from studies.model import WEIGHTS, open_model, read_params
from studies.run.objective import import_objective
from studies.spec.program import Program
from studies.words import clean, json_text

Answer: TypeAlias = "Mapping[str, Any] | str"  # one row, or a text to show as it is: the objectives' contract

KINDS = (bool, int, float, str, Path)  # of an option; a text is taken for any other

ERROR = "error"  # in the answer to a row that cannot be used: why
ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"})  # as PostgreSQL's COPY has them


@dataclass(frozen=True)
class Option:
    """A keyword-only argument of a predictor's `predict`. kind: one of KINDS. default: None where it has none."""

    name: str
    kind: type
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """As a person types it."""
        return "--" + self.name.replace("_", "-")


class Asked:
    """A model that can be asked. It needs its directory, and neither a storage nor the data it was trained on.

    Raises ModelRefused, and ObjectiveRefused where the objective does not predict.
    """

    def __init__(self, directory: Path, device: str) -> None:
        self.n_errors = 0
        trained = read_params(directory)
        path = str(trained.objective)
        if not trained.files and not (directory / WEIGHTS).exists():
            who = "program" if isinstance(trained.objective, Program) else "function"
            raise ObjectiveRefused(
                reason=f"{directory} is what the {who} `{path}` left; a program of yours may use its checkpoints"
            )
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
        """What INPUT is and what the answer, in the objective's words."""
        text = inspect.getdoc(self._predictor.predict) or "INPUT is what the objective predicts from."
        names = [re.escape(option.name) for option in self.options]
        return " ".join((re.split(rf"\b(?:{'|'.join(names)}): ", text)[0] if names else text).split())

    @property
    def options(self) -> list[Option]:
        """What can be set for an answer, as `predict` declares and describes it."""
        return options_of(self._predictor.predict)

    def refusal(self, flag: str) -> WrongInput:
        """Return the error for an option that this model does not have."""
        known = ", ".join(option.flag for option in self.options)
        return WrongInput(reason=f"{flag} is not for this model, which {f'has {known}' if known else 'has no options'}")

    def answers(
        self, source: str | BinaryIO, options: Mapping[str, Any], *, strict: bool = True
    ) -> Generator[Answer, None, None]:
        """Yield the answers to INPUT as it was typed, or to what a stream holds.

        options: by name, for a predictor that takes them. strict: raise WrongInput for the first row that cannot be
        answered; otherwise such a row is answered by its `error`, in its place, and counted in `n_errors`.
        Raises WrongInput for an INPUT that cannot be read, after the answers to what came before.
        """
        known = {option.name for option in self.options}
        for name in options:
            if name not in known:
                raise self.refusal("--" + name.replace("_", "-"))
        try:
            for answer in self._predictor.predict(source, **options):
                if not isinstance(answer, str) and answer.get(ERROR):
                    if strict:
                        raise WrongInput(reason=answer[ERROR])
                    self.n_errors += 1
                yield answer
        except ValueError as error:  # the objectives' DataError among them
            raise WrongInput(reason=str(error)) from None

    def require_all_answered(self) -> None:
        """Raise RowsUnanswered if rows were answered by an error."""
        if self.n_errors:
            raise RowsUnanswered(n=self.n_errors, rows="row" if self.n_errors == 1 else "rows")


def options_of(predict: Callable[..., Any]) -> list[Option]:
    """Return the keyword-only arguments of a predictor's `predict`, each described in its docstring: `name: text`."""
    try:
        hints = get_type_hints(predict)
    except NameError:  # imported for the type checker alone
        hints = {}
    taken = {
        name: each
        for name, each in inspect.signature(predict).parameters.items()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    text, names = inspect.getdoc(predict) or "", "|".join(map(re.escape, taken))
    found = []
    for name, each in taken.items():
        default = None if each.default is inspect.Parameter.empty else each.default
        hint = hints.get(name, type(default))
        kind = next((kind for kind in KINDS if hint is kind or kind in get_args(hint)), str)
        told = re.search(rf"\b{re.escape(name)}: (.+?)(?=\s\b(?:{names}): |\n\s*\n|\Z)", text, re.DOTALL)
        found.append(Option(name, kind, default, " ".join(told[1].split()) if told else ""))
    return found


def lines(answers: Iterable[Answer], as_json: bool, *, strict: bool = True) -> Iterator[str]:
    """Yield answers as lines: JSON objects, or tab-separated below the columns' names; a text stays as it is.

    strict: as for the answers; otherwise the last column is `error`. Rows of errors alone wait for the first answer,
    which names the columns.
    """
    header: list[str] = []
    waiting: list[Mapping[str, Any]] = []
    for answer in answers:
        if as_json:
            yield json_text({"text": answer} if isinstance(answer, str) else answer)
        elif isinstance(answer, str):
            yield answer
        elif not header and answer.get(ERROR):
            waiting.append(answer)
        else:
            if not header:
                header = [*answer, *([] if strict else [ERROR])]
                yield _row(header)
                yield from (_row([one.get(name, "") for name in header]) for one in waiting)
            yield _row([answer.get(name, "") for name in header])
    if waiting and not header:
        header = list(dict.fromkeys(name for one in waiting for name in one))
        yield _row(header)
        yield from (_row([one.get(name, "") for name in header]) for one in waiting)


def _row(cells: Iterable[Any]) -> str:
    return "\t".join(map(_cell, cells))


def _cell(value: Any) -> str:
    return clean(str(value).translate(ESCAPES))
