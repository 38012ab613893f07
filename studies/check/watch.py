"""What a training does with torch, seen from outside while it does it.

A function mode sees every torch function that Python calls: losses, dropout, batch normalisation, backward. Hooks see
the calls of whole models. Neither changes a number; only a loader may be cut short, so that a long epoch
reaches its evaluation in time.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.check import isolate
from studies.check.losses_seen import LossesSeen, Rows, Seen
from studies.check.own_code import OwnCode
from studies.check.tensors import is_tensor, rows_of

if TYPE_CHECKING:
    from torch import nn

DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
DRAWS = {
    "randperm", "rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "bernoulli", "bernoulli_",
    "multinomial", "normal", "normal_", "uniform_", "random_", "exponential_",
}  # fmt: skip
MOST_ROWS = 200_000


class Enough(BaseException):
    """Raised inside a training once enough was seen; no `except Exception` of a user's hides it."""


@dataclass(frozen=True)
class StopAfter:
    """steps: raise Enough at the backward of this number. batches, seconds: a loader ends early after so many."""

    steps: int | None = None
    batches: int | None = None
    seconds: float = float("inf")


@dataclass
class ModelCall:
    """A call of a whole model, to be made again."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    gradient: bool
    training: dict[nn.Module, bool]


class Watch:
    """What was seen of one training. Enter it, train, leave it; then read.

    losses: the loss at each backward. seen: mistakes by name and place. n_rows: of losses between the first backward
    and the last, which are stepped_s apart. alive_at: when torch was last asked for something. given: what losses were
    given. draws: places that drew from the process's own generators. evaluation: the first and the last call of a model
    since the last backward.
    """

    def __init__(self, source: OwnCode, stop_at: float, limits: StopAfter, look: bool) -> None:
        self.losses: list[float] = []
        self.seen: dict[tuple[str, str | None], Seen] = {}
        self.n_rows = 0
        self.draws: dict[str, str | None] = {}
        self.evaluation: list[ModelCall] = []
        self.models: dict[int, nn.Module] = {}
        self.widths: dict[int, set[int]] = {}
        self.rows: dict[Rows, set[bytes]] = {rows: set() for rows in Rows}
        self.n_row_calls = dict.fromkeys(Rows, 0)
        self.cut_s = 0.0
        self.alive_at = 0.0
        self.stepped_s = self.stepped_cpu_s = 0.0
        self._stepped_at = (0.0, 0.0)
        self._source = source
        self.given = LossesSeen(source, self._note)
        self._stop_at = stop_at
        self._limits = limits
        self._look = look
        self._depth = 0
        self._random_layers: list[Seen] = []
        self._pending_rows: list[bytes] = []
        self._stack = ExitStack()
        self._paused = False
        self._pid = os.getpid()

    def __enter__(self) -> Watch:
        from torch.nn.modules import module
        from torch.utils.data import DataLoader

        self._depth = 0
        self._stack.enter_context(seeing(self._called))
        before = module.register_module_forward_pre_hook(self._model_begins)
        after = module.register_module_forward_hook(self._model_ended, with_kwargs=True, always_call=True)
        self._stack.callback(before.remove)
        self._stack.callback(after.remove)
        self._stack.enter_context(replaced(DataLoader, "__iter__", self._shortened(DataLoader.__iter__)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See nothing inside."""
        self._paused = True
        yield
        self._paused = False

    def go_on(self, seconds: float) -> None:
        """Give more time."""
        self._stop_at = time.monotonic() + seconds

    def epoch_ended(self) -> None:
        """Settle what only the end of an epoch can tell: what came after the last backward was evaluation."""
        if self.losses:
            for seen in self._random_layers:
                self._note(seen.name, seen.where, **seen.facts)
        self._rows_were(Rows.SCORED)

    # what torch is asked to do

    def _called(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._paused or os.getpid() != self._pid:  # a loader's own process inherits the mode
            return function(*args, **kwargs)
        self.alive_at = time.monotonic()
        if self.alive_at > self._stop_at:
            raise Enough
        name = getattr(function, "__name__", "")
        if name == "backward":
            self._backward(args, kwargs)
        elif name in DROPOUTS:
            self._dropout(args, kwargs)
        elif name == "batch_norm":
            self._batch_norm(args, kwargs)
        if (name in DRAWS or name in DROPOUTS) and kwargs.get("generator") is None and "torch" not in self.draws:
            self.draws["torch"] = self._source.here()
        self.given.before(name, args, kwargs)
        result = function(*args, **kwargs)
        self.given.after(name, args, result)
        return result

    def _backward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        root: Any = args[0] if args else kwargs.get("tensors")
        roots = root if isinstance(root, (list, tuple)) else [root]
        self.losses.append(sum((float(each.detach().sum()) for each in roots), 0.0))
        now = time.monotonic(), time.process_time()
        if self._stepped_at[0]:  # the first step also warms up
            self.stepped_s += now[0] - self._stepped_at[0]
            self.stepped_cpu_s += now[1] - self._stepped_at[1]
            self.n_rows += self.given.last_rows
        self._stepped_at = now
        self.given.last_rows = 0
        self.evaluation.clear()
        self._random_layers.clear()
        self._rows_were(Rows.TRAINED_ON)
        if len(self.losses) == self._limits.steps:
            raise Enough

    def _dropout(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        share = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        on = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
        if on and share > 0:
            self._random_layers.append(Seen("dropout-in-evaluation", self._source.here(), {"share": float(share)}))

    def _batch_norm(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args[5] if len(args) > 5 else kwargs.get("training", False):
            self._random_layers.append(Seen("batch-norm-in-evaluation", self._source.here()))

    # models

    def _model_begins(self, module: nn.Module, args: Any) -> None:
        from torch import nn

        if self._paused:
            return
        self._depth += 1
        share = getattr(module, "dropout", 0.0)
        inner = isinstance(module, (nn.RNNBase, nn.MultiheadAttention))  # whose dropout is no call of its own
        if inner and module.training and isinstance(share, float) and share > 0:
            self._random_layers.append(Seen("dropout-in-evaluation", self._source.here(), {"share": share}))

    def _model_ended(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        import torch

        if self._paused:
            return
        self._depth = max(0, self._depth - 1)
        if self._depth or not self._look or next(module.parameters(), None) is None:
            return
        self.models[id(module)] = module
        for index, arg in enumerate(args):
            if is_tensor(arg) and arg.dim() == 2:
                self.widths.setdefault(index, set()).add(arg.shape[1])
        if len(self._pending_rows) < MOST_ROWS:
            self._pending_rows.extend(rows_of([*args, *kwargs.values()]))
        training = {part: part.training for part in module.modules()}
        del self.evaluation[1:]
        self.evaluation.append(ModelCall(module, args, kwargs, output, torch.is_grad_enabled(), training))

    def _rows_were(self, what: Rows) -> None:
        self.n_row_calls[what] += len(self._pending_rows)
        if len(self.rows[what]) < MOST_ROWS:
            self.rows[what].update(self._pending_rows)
        self._pending_rows.clear()

    # data loaders

    def _shortened(self, original: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        """Let a loader end early, and note how much longer it would have taken."""

        def batches(loader: Any) -> Iterator[Any]:
            started = time.monotonic()
            for number, batch in enumerate(original(loader), start=1):
                yield batch
                now = time.monotonic()
                if number == self._limits.batches or (now - started > self._limits.seconds and number > 1):
                    try:
                        n_batches = len(loader)
                    except TypeError:
                        n_batches = number
                    self.cut_s += (now - started) * max(0, n_batches - number) / number
                    return

        return batches

    def _note(self, name: str, where: str | None, **facts: Any) -> Seen:
        seen = self.seen.get((name, where))
        if seen is None:
            seen = self.seen[name, where] = Seen(name, where, facts, 0)
        seen.n += 1
        return seen


def seeing(called: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]) -> AbstractContextManager[Any]:
    """Return a context in which every torch function goes through `called(function, args, kwargs)`."""
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return called(function, args, kwargs or {})

    return Mode()


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give `owner` another attribute inside."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def in_torch(error: BaseException) -> bool:
    """Whether an error that came from outside hit torch at work, and not the user's code."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    interrupted = next((file for file in reversed(frames) if file != isolate.__file__), "")
    return Path(interrupted).parent == Path(__file__).parent or "/torch/" in interrupted
