"""Making a model's evaluation again: as it was, with half of the batch, and with more padding.

A row's answer must be the same each time. Where it is not, the value of a trial depends on chance, or on which rows
happen to share a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studies.check.tensors import is_tensor
from studies.check.watch import ModelCall

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-3  # relative to the largest answer: more than any order of summation makes
MORE_PADDING = 3


@dataclass
class EvaluationAgain:
    """What came of it. model: the class that answered. differences: the largest, as a share of the largest answer.

    random: between two calls that are the same. mates: with half of the batch. padding: with MORE_PADDING more columns
    of padding. None: not made, and `reasons` says why.
    """

    model: type | None = None
    random: float | None = None
    mates: float | None = None
    padding: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def evaluate_again(calls: list[ModelCall], widths: dict[int, set[int]]) -> EvaluationAgain:
    """Make the first of these calls with enough rows again. widths: that each argument has had, by its position."""
    found = EvaluationAgain()
    call = next((call for call in calls if _n_rows(call) >= 2), None)
    if call is None:
        reason = "no call of a torch module with a batch of rows was seen after the last training step"
        found.reasons = dict.fromkeys(("random", "mates", "padding"), reason)
        return found
    found.model = type(call.module)
    first, second = _answer(call, call.args, call.kwargs, 1), _answer(call, call.args, call.kwargs, 1)
    if first is None or second is None or first.shape != second.shape or _difference(first, second) > CLOSE:
        reason = f"{found.model.__name__} keeps a state between its calls"
        found.reasons = dict.fromkeys(("random", "mates", "padding"), reason)
        return found
    other = _answer(call, call.args, call.kwargs, 2)
    found.random = None if other is None else _difference(first, other)
    _with_fewer_rows(call, first, found)
    _with_more_padding(call, first, widths, found)
    return found


def _with_fewer_rows(call: ModelCall, whole: Tensor, found: EvaluationAgain) -> None:
    n_rows = len(whole)
    values = [value for value in (*call.args, *call.kwargs.values()) if is_tensor(value)]
    if whole.dim() > 2 or any(value.dim() == 0 or list(value.shape).count(n_rows) != 1 for value in values):
        found.reasons["mates"] = f"it is unclear which dimension of {type(call.module).__name__}'s inputs is the batch"
        return
    if any(len(value) != n_rows for value in values):
        found.reasons["mates"] = f"the batch is not the first dimension of all of {type(call.module).__name__}'s inputs"
        return
    half = max(1, n_rows // 2)
    args = [value[:half] if is_tensor(value) else value for value in call.args]
    kwargs = {name: value[:half] if is_tensor(value) else value for name, value in call.kwargs.items()}
    part = _answer(call, args, kwargs, 1)
    if part is None or part.shape[1:] != whole.shape[1:] or len(part) != half:
        found.reasons["mates"] = f"{type(call.module).__name__} does not take half of a batch"
        return
    found.mates = _difference(whole[:half], part)


def _with_more_padding(call: ModelCall, whole: Tensor, widths: dict[int, set[int]], found: EvaluationAgain) -> None:
    """Only for rows of numbers that end in one and the same number, and whose width depends on the batch."""
    import torch

    for index, ids in enumerate(call.args):
        if not is_tensor(ids) or ids.dim() != 2 or ids.dtype.is_floating_point or ids.dtype == torch.bool:
            continue
        shortest = _padded_row(ids)
        if len(widths.get(index, ())) < 2 or shortest is None:
            continue

        def wider(value: Any, like: Tensor = ids, row: int = shortest) -> Any:
            if not is_tensor(value) or value.dim() < 2 or value.shape[:2] != like.shape:
                return value
            # A mask is extended by what it says of padding, numbers by the padding itself.
            more = value[row : row + 1, -1:].expand(len(value), MORE_PADDING, *value.shape[2:])
            return torch.cat([value, more], dim=1)

        args = [wider(value) for value in call.args]
        kwargs = {name: wider(value) for name, value in call.kwargs.items()}
        padded = _answer(call, args, kwargs, 1)
        if padded is not None and padded.shape == whole.shape:
            found.padding = _difference(whole, padded)
            return
    found.reasons["padding"] = "no batches padded to their longest row were seen"


def _padded_row(ids: Tensor) -> int | None:
    """Return a row that ends in padding: at least two of the number that rows end in most, which others do not."""
    last = ids[:, -1]
    number = last.mode().values
    ends = last == number
    twice = ids.shape[1] > 1 and bool((ends & (ids[:, -2] == number)).any())
    if not twice or bool(ends.all()) or bool((ids[:, 0] == number).any()):
        return None
    return int((ends & (ids[:, -2] == number)).nonzero()[0])


def _answer(call: ModelCall, args: Any, kwargs: dict[str, Any], noise: int) -> Tensor | None:
    """Return what the model answers, in the mode that it was called in; None where it refuses."""
    import torch

    now = {part: part.training for part in call.training}
    try:
        for part, training in call.training.items():
            part.training = training
        torch.manual_seed(noise)
        with torch.inference_mode():
            answer = _tensor_of(call.module(*args, **kwargs))
            return None if answer is None else answer.float().clone()
    except Exception:
        return None
    finally:
        for part, training in now.items():
            part.training = training


def _n_rows(call: ModelCall) -> int:
    answer = _tensor_of(call.output)
    return len(answer) if answer is not None and answer.dim() else 0


def _tensor_of(output: Any) -> Tensor | None:
    if isinstance(output, dict):
        output = list(output.values())
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if is_tensor(output) else None


def _difference(left: Tensor, right: Tensor) -> float:
    if left.shape != right.shape or not left.numel():
        return float("inf")
    largest = max(float(left.abs().max()), 1e-12)
    return float((left - right).abs().max()) / largest
