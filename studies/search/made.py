"""From a name and its options in a study file to Optuna's sampler or pruner, or to an error that finds its line."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import optuna

from studies.errors import WrongInput
from studies.registry import Registry
from studies.spec.model import Named
from studies.spec.values import SpaceError
from studies.words import near

Kind = TypeVar("Kind")
NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def maker(
    registry: Registry, settings: Named, kind: type[Kind], own: tuple[str, ...], *given: Any
) -> Callable[..., Kind]:
    """Return what makes the thing that a part of the study file names; it takes the arguments `own` by name.

    A class of Optuna is called with `own` and the options, a function with `given`, `own` and the options.
    Raises SpaceError for a name that is not there and for options that it does not take.
    """
    part, name, options = registry.kind, settings.name, settings.options
    try:
        found = registry.load(name)
    except WrongInput as error:
        raise SpaceError(str(error), part, "name") from None
    given = () if isinstance(found, type) and issubclass(found, kind) else given
    _check(part, name, found, options, own, len(given))

    def make(**own_values: Any) -> Kind:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                thing = found(*given, **own_values, **options)
        except SpaceError:
            raise
        except Exception as error:
            reason = f"{part} {name!r} cannot be made ({type(error).__name__}: {error})"
            raise SpaceError(reason, part, *(("options",) if options else ("name",))) from None
        if not isinstance(thing, kind):
            raise SpaceError(
                f"{part} {name!r} is a {type(thing).__name__}, not an Optuna {kind.__name__}", part, "name"
            )
        return thing

    return make


def _check(part: str, name: str, found: Any, options: Mapping[str, Any], own: tuple[str, ...], n_given: int) -> None:
    """Raise SpaceError for what cannot be called like this, before it is."""
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):  # not callable, or one of Python's own that does not say what it takes
        reason = f"{part} {name!r} is a {type(found).__name__}; expected a class or a function that makes a {part}"
        raise SpaceError(reason, part, "name") from None
    by_name = [key for key, each in list(parameters.items())[n_given:] if each.kind in NAMED]
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    for key in own:
        if key not in by_name and not takes_any:
            reason = f"{part} {name!r} takes no {key!r}; name a function of your own that does, and that makes it"
            raise SpaceError(reason, part, "name")
    known = [key for key in by_name if key not in own]
    for key in options:
        if key in own or (key not in known and not takes_any):
            raise SpaceError(f"{part} {name!r} has no option {key!r}{near(key, known)}", part, "options", key)
    missing = [key for key in known if parameters[key].default is inspect.Parameter.empty and key not in options]
    if missing:
        raise SpaceError(f"{part} {name!r} needs the option {missing[0]!r}", part, "name")
