"""An objective that is defined in a notebook or a script: it is written as a module, so that workers can import it.

The module is a package below STUDIES_HOME/notebook, `cells_NAME_HASH`. It holds the source of the class or function,
and of everything of the session that it refers to by name: other classes and functions as source, modules as imports,
values as they are now. HASH follows from the content: what has changed is another objective, and what has not is the
same one again. `studies.own.import_own` finds it there.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import hashlib
import inspect
import io
import linecache
import pickle
import re
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from studies.errors import ObjectiveRefused, WrongInput
from studies.exporters.yaml import dumped
from studies.files import write_whole
from studies.own import CELLS
from studies.settings import NOTEBOOK, Settings

LONGEST_LITERAL = 1000  # characters; a longer value is pickled beside the module
HASH_LENGTH = 12
PARSED = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # which a cell may have
LITERALS = (bool, int, float, complex, str, bytes, tuple, list, dict, set, type(None))


def study_file(objective: Any, settings: Settings, keys: Mapping[str, Any]) -> Path:
    """Write the study file of an objective that a session has at hand, and return its path.

    objective: a class, an instance without values of its own, or a plain function. keys: of the study file, the name,
    the data set and the only metric of a class being optional.
    Raises ObjectiveRefused for what no worker could import, and WrongSpec and WrongInput for the keys.
    """
    from studies.spec import Override, SpecFile

    kind = _kind(objective)
    data = {"name": re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_+", "-", kind.__name__).strip("-").lower()} | _declared(kind)
    for key in ("n_trials",) if "metrics" in keys else ("direction", "n_trials"):
        if key not in {**data, **keys} and (key == "direction" or not keys.keys() & {"sampler", "limits"}):
            raise WrongInput(
                reason=f"{key} is not given; expected keys of a study file, such as "
                f"studies.load({kind.__name__}, metric='loss', direction='minimize', n_trials=20)."
            )
    data["objective"] = _path(kind, str(keys.get("name", data["name"])), settings)
    given = [Override((key,), value, f"{key}={value!r}") for key, value in keys.items()]
    spec = SpecFile("studies.load", data).spec(given)
    module = str(spec.objective).partition(":")[0]
    place = settings.directory(NOTEBOOK, *([module] if module.startswith(CELLS) else []))
    file = place / f"{spec.name}.yaml"
    write_whole(file, dumped(spec.model_dump(mode="json", exclude_unset=True)).encode())
    return file


def value_of(module: str, name: str) -> Any:
    """Return the value of this name that was taken along with a module. module: its `__file__`."""
    return pickle.loads(Path(module).with_name(f"{name}.pickle").read_bytes())  # noqa: S301 - written by this user


def _kind(objective: Any) -> Any:
    """Return the class or the function that an objective is made of. Raises ObjectiveRefused."""
    if isinstance(objective, type):
        needed = [
            name
            for name, each in inspect.signature(objective).parameters.items()
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        if needed:
            raise _refused(objective, f"it needs {', '.join(needed)}, and a worker makes it without arguments")
        return objective
    if hasattr(objective, "start") and hasattr(objective, "prepare"):
        if own := sorted(getattr(objective, "__dict__", {})):
            raise _refused(
                type(objective), f"this instance has values of its own ({', '.join(own)}); make them defaults"
            )
        return _kind(type(objective))
    if not callable(objective) or not hasattr(objective, "__qualname__"):
        raise _refused(objective, "it is neither a class nor a function")
    return objective


def _declared(kind: Any) -> dict[str, Any]:
    """Return the keys of a study file that a class leaves no choice about."""
    metrics, datasets = getattr(kind, "metrics", {}), getattr(kind, "datasets", {})
    found = dict(zip(("metric", "direction"), next(iter(metrics.items())), strict=True)) if len(metrics) == 1 else {}
    return found | ({"dataset": next(iter(datasets))} if datasets else {})


def _path(kind: Any, study: str, settings: Settings) -> str:
    """Return `module:Name` of a class or function; its module is written where there is none to be imported."""
    if kind.__module__ != "__main__":
        _check_importable(kind)
        return f"{kind.__module__}:{kind.__name__}"
    taken = _Taken(kind)
    files = {"__init__.py": taken.text().encode()} | {f"{name}.pickle": value for name, value in taken.pickled.items()}
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()
    module = f"{CELLS}{re.sub(r'[^a-z0-9]+', '_', study.lower())}_{digest[:HASH_LENGTH]}"
    directory = settings.directory(NOTEBOOK, module)
    for name, content in sorted(files.items(), reverse=True):  # the values are there before what reads them
        write_whole(directory / name, content)
    return f"{module}:{kind.__name__}"


def _check_importable(kind: Any) -> None:
    if getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is not kind:
        raise _refused(kind, f"it is not what module {kind.__module__!r} has under that name")


def _refused(thing: Any, why: str) -> ObjectiveRefused:
    name = getattr(thing, "__qualname__", repr(thing))
    return ObjectiveRefused(
        reason=f"{name} cannot be taken along as an objective: {why}. Or save it in a file "
        "with a study file beside it (`studies init mine` writes both), and type studies.load('./mine.yaml')."
    )


class _Taken:
    """A class or function with everything of its session that it refers to. Raises ObjectiveRefused.

    imports, values, definitions: by name, the lines that make it. pickled: values that are no literals.
    """

    def __init__(self, kind: Any) -> None:
        self.imports: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self.pickled: dict[str, bytes] = {}
        self._kind = kind
        self._seen = {kind.__name__}
        self._namespace = _namespace(kind)
        self._define(kind.__name__, kind)

    def text(self) -> str:
        """Return the module's source."""
        head = (
            ["from __future__ import annotations"]
            if self._namespace.get("annotations") is __future__.annotations
            else []
        )
        if self.pickled:
            self.imports["_value_of"] = "from studies.cells import value_of as _value_of"
        parts = [
            head,
            sorted(set(self.imports.values())),
            self.values.values(),
            *([one] for one in self.definitions.values()),
        ]
        return "\n\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def _take(self, name: str) -> None:
        """Take what the session has under a name, unless that was done. What it does not have, nobody has needed."""
        if name in self._seen or name not in self._namespace:
            return
        self._seen.add(name)
        value = self._namespace[name]
        module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if isinstance(value, ModuleType):
            self.imports[name] = f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
        elif qualname and module == "__main__":
            self._define(name, value)
        elif qualname and getattr(sys.modules.get(module or ""), qualname, None) is value:
            self.imports[name] = f"from {module} import {qualname}" + ("" if qualname == name else f" as {name}")
        else:
            self._keep(name, value)

    def _define(self, name: str, thing: Any) -> None:
        """Take the source of a class or function, after what it refers to."""
        node, text = self._source(thing)
        for used in sorted(_globals(text)):
            self._take(used)
        for module in sorted(_submodules(node, self._namespace)):
            self.imports[module] = f"import {module}"
        self.definitions[node.name] = text
        if node.name != name:
            self.definitions[name] = f"{name} = {node.name}"

    def _source(self, thing: Any) -> tuple[Any, str]:
        """Return the definition of a class or function, parsed and as text."""
        plain = inspect.unwrap(thing)
        name = plain.__name__
        if not name.isidentifier() or "<locals>" in plain.__qualname__:
            raise self._refused(
                f"{plain.__qualname__} is not defined by its name at the top level of a cell or a script"
            )
        for text, near in _candidates(plain):
            try:
                tree = compile(text, "cell", "exec", PARSED)
            except SyntaxError:
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                    if near is None or first <= near <= (node.end_lineno or first):
                        lines = text.splitlines()[first - 1 : node.end_lineno]
                        return node, textwrap.dedent("\n".join(lines))
        raise self._refused(f"the source of {name} is nowhere to be found")

    def _keep(self, name: str, value: Any) -> None:
        """Take a value as it is now: as a literal where that is short, else pickled."""
        written = repr(value) if isinstance(value, LITERALS) else ""
        if 0 < len(written) <= LONGEST_LITERAL and _is_literal(written, value):
            self.values[name] = f"{name} = {written}"
            return
        try:
            self.pickled[name] = _pickled(value)
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise self._refused(
                f"it refers to {name}, of type {type(value).__name__}, which cannot be saved ({why})"
            ) from None
        self.values[name] = f'{name} = _value_of(__file__, "{name}")'

    def _refused(self, why: str) -> ObjectiveRefused:
        return _refused(self._kind, why)


class _Pickler(pickle.Pickler):
    """Refuses what a worker could not load."""

    def reducer_override(self, value: Any) -> Any:
        """See Pickler."""
        if getattr(value, "__module__", None) == "__main__":
            raise pickle.PicklingError(f"{getattr(value, '__qualname__', type(value).__qualname__)} is of this session")
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor) and value.is_cuda:
            raise pickle.PicklingError("it is on a GPU; move it there in the objective")
        return NotImplemented


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(value)
    return file.getvalue()


def _is_literal(written: str, value: Any) -> bool:
    try:
        read = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return False
    return type(read) is type(value) and read == value


def _namespace(kind: Any) -> Mapping[str, Any]:
    """Return the globals that a class or function sees."""
    plain = inspect.unwrap(kind)
    found = [plain, *(inspect.unwrap(each) for each in _functions(plain))] if isinstance(plain, type) else [plain]
    globals_ = (getattr(each, "__globals__", {}) for each in found)
    return next((each for each in globals_ if each.get("__name__") == "__main__"), vars(sys.modules["__main__"]))


def _functions(kind: type) -> Iterator[Any]:
    for each in vars(kind).values():
        each = getattr(each, "__func__", getattr(each, "fget", each))
        if hasattr(each, "__code__"):
            yield each


def _candidates(thing: Any) -> Iterator[tuple[str, int | None]]:
    """Yield texts that may hold a definition, the likeliest first, each with a line inside of it if that is known."""
    functions = list(_functions(thing)) if isinstance(thing, type) else [thing]
    for code in (inspect.unwrap(function).__code__ for function in functions):
        if _is_of(code, thing) and (lines := linecache.getlines(code.co_filename)):
            yield "".join(lines), code.co_firstlineno
    # A class without methods says nothing of its place: IPython keeps its cells here, the newest last.
    cells = [entry[2] for entry in linecache.cache.values() if len(entry) == 4 and entry[1] is None]
    yield from (("".join(lines), None) for lines in reversed(cells))
    if isinstance(file := getattr(sys.modules["__main__"], "__file__", None), str):
        yield "".join(linecache.getlines(file)), None


def _is_of(code: CodeType, thing: Any) -> bool:
    """Whether code was written in a definition; a dataclass has methods that were not."""
    return code.co_qualname.partition(".")[0] == str(thing.__name__)


def _globals(text: str) -> set[str]:
    """Return the names that a definition looks up outside of itself."""

    def looked_up(table: symtable.SymbolTable) -> Iterator[str]:
        outermost = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (outermost or symbol.is_global()):
                yield symbol.get_name()
        for inner in table.get_children():
            yield from looked_up(inner)

    return set(looked_up(symtable.symtable(text, "cell", "exec"))) - set(vars(builtins))


def _submodules(node: ast.AST, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Yield the modules that a definition reaches by a dotted name, such as torch.nn.functional."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            dotted = ast.unparse(part)
            top = namespace.get(dotted.partition(".")[0])
            if isinstance(top, ModuleType) and dotted in sys.modules and dotted.startswith(f"{top.__name__}."):
                yield dotted
