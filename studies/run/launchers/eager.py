"""Optimizers that do without torch's compiler as long as nothing is compiled.

Importing the compiler, `torch._dynamo`, takes about as long as importing torch. Torch's optimizers import it at their
first use, also where nothing is compiled, to keep it out of some methods (`_disable_dynamo`) and to break a graph
around each step (`_use_grad`). Where the compiler was never imported there is nothing to keep out and no graph.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

COMPILER = "torch._dynamo"
KEPT_OUT, STEP = "_disable_dynamo.<locals>.inner", "_use_grad_for_differentiable.<locals>._use_grad"


def spare_the_compiler(torch: Any) -> bool:
    """Let torch's optimizers import the compiler only where something else has; return whether they all do.

    It knows torch's two wrappers by their names. In a torch that has others, False: its optimizers stay as they are.
    """
    found = list(_wrapped(torch.optim))
    for kind, name, method in found:
        setattr(kind, name, _eager(method, torch))
    return {method.__code__.co_qualname for _, _, method in found} == {KEPT_OUT, STEP}


def _wrapped(optim: Any) -> Iterator[tuple[type, str, Any]]:
    """Yield every method of an optimizer that imports the compiler: its class, its name, and the method itself."""
    kinds = {kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)}
    for kind in kinds:
        for name, method in list(vars(kind).items()):
            code = getattr(method, "__code__", None)
            if code is not None and code.co_qualname in (KEPT_OUT, STEP):
                yield kind, name, method


def _eager(method: Any, torch: Any) -> Callable[..., Any]:
    plain, steps = method.__wrapped__, method.__code__.co_qualname == STEP

    @functools.wraps(method)
    def eager(self: Any, *args: Any, **given: Any) -> Any:
        if COMPILER in sys.modules:
            return method(self, *args, **given)
        if not steps:
            return plain(self, *args, **given)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return plain(self, *args, **given)

    return eager
