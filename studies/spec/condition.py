"""A condition between parameters, as a study file's `require` has it: `n_filters * 4 <= 1024`."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression, IterableTooLong, NumberTooHigh

from studies.words import near, one_line, shown

FUNCTIONS = {"abs": abs, "min": min, "max": max, "len": len, "round": round, "log": math.log, "sqrt": math.sqrt}
SYNTAX = (
    ast.BoolOp, ast.boolop, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop, ast.Compare, ast.cmpop, ast.IfExp,
    ast.Call, ast.Name, ast.expr_context, ast.Constant, ast.List, ast.Tuple, ast.Subscript, ast.Slice,
)  # fmt: skip
EXAMPLE = "expected such as n_filters * 4 <= 1024"
MEANT = {"===": "==", "=>": ">=", "=<": "<=", "<>": "!=", "&&": "and", "||": "or", "=": "=="}  # of other languages
THEIRS = re.compile(r"===|=>|=<|<>|&&|\|\||(?<![<>=!])=(?!=)")
MOST_SHOWN = 100  # letters of a text


class ConditionError(ValueError):
    """Text that is no condition, or one that cannot be computed."""


@dataclass(frozen=True)
class Condition:
    """An expression in Python's words, computed without Python's `eval`; only `FUNCTIONS` may be called."""

    text: str

    @classmethod
    def read(cls, text: str, known: Mapping[str, Any], what: str = "parameter") -> Condition:
        """Return the condition that a text is. Raises ConditionError, also for a name that is not known.

        known: by name, what it may speak of. what: what one of these is called.
        """
        condition, said = cls(text), _quoted(text)
        try:
            names, calls = condition.names, _calls(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # as Python's parser raises them
            said_of_it = error.msg if isinstance(error, SyntaxError) else one_line(str(error))
            why = "it is too deep" if isinstance(error, RecursionError) else said_of_it
            raise ConditionError(f"{said} is no condition ({why}); {_meant(text) or EXAMPLE}") from None
        for name in sorted(calls - FUNCTIONS.keys()):
            raise ConditionError(f"{said} calls {name!r}; it may call {', '.join(FUNCTIONS)}")
        for node in ast.walk(_parsed(text)):
            if not isinstance(node, SYNTAX) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)):
                raise ConditionError(f"{said} has {_quoted(ast.unparse(node))}, which is for programs; {EXAMPLE}")
        for name in sorted(names - known.keys()):
            hint = f"; as text it is '{name}', in quotes" if _is_choice(name, known) else near(name, known)
            raise ConditionError(f"{said} has the unknown {what} {name!r}{hint}")
        if not names:
            raise ConditionError(f"{said} names no {what}, so it always says the same")
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
        # It adds functions of its own to those that it is given.
        evaluator = EvalWithCompoundTypes(functions=dict(FUNCTIONS), names=dict(values), allowed_attrs={})
        try:
            return bool(evaluator.eval(self.text, previously_parsed=_parsed(self.text)))
        except (NumberTooHigh, IterableTooLong, OverflowError):
            why = "it comes to something too large"
        except RecursionError:
            why = "it is too deep"
        except (InvalidExpression, ArithmeticError, TypeError, ValueError, LookupError) as error:
            why = one_line(str(error))
        having = ", ".join(f"{name} = {shown(values[name])}" for name in sorted(self.names))
        raise ConditionError(f"{_quoted(self.text)} cannot be computed for {having} ({why})")


def _is_choice(text: str, known: Mapping[str, Any]) -> bool:
    return any(text in getattr(getattr(one, "domain", None), "choices", ()) for one in known.values())


def _quoted(text: str) -> str:
    return shown(text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}...")


def _meant(text: str) -> str:
    """Return what to write in place of another language's operator; nothing where there is none."""
    found = THEIRS.search(text)
    return f"for {found[0]} write {MEANT[found[0]]}" if found else ""


@cache
def _parsed(text: str) -> ast.AST:
    return _Dotted().visit(ast.parse(text.strip(), mode="eval").body)  # type: ignore[no-any-return]


class _Dotted(ast.NodeTransformer):
    """Takes `optimizer.lr` for one name."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        inner = self.visit(node.value)
        whole = ast.Name(f"{inner.id}.{node.attr}", node.ctx) if isinstance(inner, ast.Name) else node
        return ast.copy_location(whole, node)


def _calls(text: str) -> set[str]:
    calls = (node.func for node in ast.walk(_parsed(text)) if isinstance(node, ast.Call))
    return {function.id if isinstance(function, ast.Name) else "a method" for function in calls}
