"""Which calls of a script run more than once: those in its loops, and in what its loops call."""

from __future__ import annotations

import ast
from collections.abc import Iterable

ENTRY = {"main"}  # is given to what starts it, as in `app.run(main)`


def name_of(node: ast.expr) -> str:
    """Return the last part of a name: `log` of `self.log`."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def repeated(trees: Iterable[ast.Module]) -> set[int]:
    """Return the `id` of each call that may run more than once.

    Also those in methods that the script never calls, which are hooks of a library, and in functions that it hands on.
    """
    seen = _Calls()
    for tree in trees:
        seen.visit(tree)
    called = {name_of(call.func) for call, _, _ in seen.calls}
    handed_on = {name_of(given) for call, _, _ in seen.calls for given in call.args} & seen.functions
    names = (seen.methods - called) | (handed_on - ENTRY)
    while more := {name_of(call.func) for call, where, loops in seen.calls if loops or where in names} - names:
        names |= more
    return {id(call) for call, where, loops in seen.calls if loops or where in names}


class _Calls(ast.NodeVisitor):
    """Finds calls, each with the function it is in and whether it is in a loop there."""

    def __init__(self) -> None:
        self.calls: list[tuple[ast.Call, str, bool]] = []
        self.functions: set[str] = set()
        self.methods: set[str] = set()
        self._function, self._loops, self._is_class = "", False, False

    def generic_visit(self, node: ast.AST) -> None:
        """See NodeVisitor; what is around the node is as before, afterwards."""
        before = self._function, self._loops, self._is_class
        match node:
            case ast.Call():
                self.calls.append((node, self._function, self._loops))
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                (self.methods if self._is_class else self.functions).add(name)
                self._function, self._loops, self._is_class = name, False, False
            case ast.ClassDef():
                self._is_class = True
            case ast.For() | ast.AsyncFor() | ast.While():
                self._loops = True
        super().generic_visit(node)
        self._function, self._loops, self._is_class = before
