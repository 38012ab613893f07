"""A condition between parameters, as a study file's `require` has it: `n_filters * 4 <= 1024`."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from studies.words import near, one_line, shown

FUNCTIONS = {"abs": abs, "min": min, "max": max, "len": len, "round": round, "log": math.log, "sqrt": math.sqrt}


class ConditionError(ValueError):
    """Text that is no condition, or one that cannot be computed."""


@dataclass(frozen=True)
class Condition:
    """An expression in Python's words, computed without Python's `eval`; only `FUNCTIONS` may be called."""

    text: str

    @classmethod
    def read(cls, text: str, parameters: Mapping[str, Any]) -> Condition:
        """Return the condition that a text is. Raises ConditionError, also for a name that is no parameter."""
        condition = cls(text)
        try:
            names, calls = condition.names, _calls(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # as Python's parser raises them
            what = one_line(str(error))
            raise ConditionError(
                f"{shown(text)} is no condition ({what}); expected such as n_filters * 4 <= 1024"
            ) from None
        for name in sorted(calls - FUNCTIONS.keys()):
            raise ConditionError(f"{shown(text)} calls {name!r}; it may call {', '.join(FUNCTIONS)}")
        for name in sorted(names - parameters.keys()):
            raise ConditionError(f"{shown(text)} has the unknown parameter {name!r}{near(name, parameters)}")
        if not names:
            raise ConditionError(f"{shown(text)} names no parameter, so it always says the same")
        return condition

    @cached_property
    def names(self) -> frozenset[str]:
        """The parameters that it speaks of."""
        found = (node.id for node in ast.walk(_parsed(self.text)) if isinstance(node, ast.Name))
        return frozenset(found) - _calls(self.text)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for a trial's values, or says nothing of them: it has a parameter that is not there.

        Raises ConditionError where it cannot be computed, such as for a text that is compared with a number.
        """
        if not self.names <= values.keys():
            return True
        evaluator = EvalWithCompoundTypes(functions=FUNCTIONS, names=dict(values), allowed_attrs={})
        try:
            return bool(evaluator.eval(self.text, previously_parsed=_parsed(self.text)))
        except (InvalidExpression, ArithmeticError, TypeError, ValueError, LookupError) as error:
            having = ", ".join(f"{name} = {shown(values[name])}" for name in sorted(self.names))
            raise ConditionError(f"{shown(self.text)} cannot be computed for {having} ({error})") from None


@cache
def _parsed(text: str) -> ast.AST:
    return ast.parse(text.strip(), mode="eval").body


def _calls(text: str) -> set[str]:
    calls = (node.func for node in ast.walk(_parsed(text)) if isinstance(node, ast.Call))
    return {function.id if isinstance(function, ast.Name) else "a method" for function in calls}
