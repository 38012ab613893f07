"""Which functions that initialise weights are written and never called."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from studies.check.own_code import OwnCode

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(
    r"_*((init|initiali[sz]e|reset)_(weights?|params?|parameters|biases|layers?)"
    r"|(weights?|params?|parameters|kaiming|xavier|glorot|orthogonal)_(init|initiali[sz]er?|initiali[sz]ation))"
)


class Initialisers:
    """Counts the calls, from its creation on, of every function and method that is named like an initialiser."""

    def __init__(self, source: OwnCode) -> None:
        self._source = source
        self._called: set[Any] = set()
        self._counting: dict[FunctionType, Callable[..., Any]] = {}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(module, ModuleType) and file and source.is_own(file):
                self._count_in(module)
                for kind in list(vars(module).values()):
                    if isinstance(kind, type) and kind.__module__ == module.__name__:
                        self._count_in(kind)

    def unused(self, models: list[nn.Module]) -> list[tuple[str, str | None]]:
        """Return name and place of those that were not called, of these models' classes and of their files."""
        kinds = {kind for model in models for part in model.modules() for kind in type(part).__mro__}
        modules, names = {kind.__module__ for kind in kinds}, {kind.__qualname__ for kind in kinds} | {""}
        return [
            (function.__qualname__, self._source.of(function))
            for function in self._counting
            if function not in self._called
            and function.__module__ in modules
            and function.__qualname__.rpartition(".")[0] in names
        ]

    def _count_in(self, owner: Any) -> None:
        for name, function in list(vars(owner).items()):
            if isinstance(function, FunctionType) and NAME.fullmatch(name):
                setattr(owner, name, self._counted(function))

    def _counted(self, function: FunctionType) -> Callable[..., Any]:
        if function not in self._counting:

            @functools.wraps(function)
            def counting(*args: Any, **kwargs: Any) -> Any:
                self._called.add(function)
                return function(*args, **kwargs)

            self._counting[function] = counting
        return self._counting[function]
