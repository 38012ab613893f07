"""What to search for an option, from its name and its default: a rate, a share, a size, a depth, a choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from studies.templates.script.usage import Option

# Words of names. What has one of the first is no parameter of a model or its training.
_NOT_TUNED = """
    data dataset path dir directory file root out output log logs logging save load resume checkpoint checkpoints ckpt
    show name id tag project entity url host port device cuda gpu gpus cpu workers threads rank world local node nodes
    dist distributed backend verbose debug quiet print interval freq frequency every version config eval evaluate test
    val valid validation split dry download cache pin wandb tensorboard profile fp16 bf16 amp compile precision hub
    push trainer only overwrite force image img vocab input classes max min eps epsilon seed threshold timesteps wait
    plot kwargs dataloader devices tokens v liger determinism unused memory metrics predict sampling strategy do neftune
    auto accel accelerator mps xpu tpu
"""
_SHARES = "dropout drop droprate p prob ratio fraction smoothing momentum beta1 beta2 beta gamma mixup cutmix rho"
_SIZES = "batch hidden width dim units filters channels embed embedding neurons features d_model ffn size"
NOT_TUNED, SHARES, SIZES = ({*words.split()} for words in (_NOT_TUNED, _SHARES, _SIZES))
LEARNING, DECAYS = {"lr", "learning"}, {"decay", "wd", "l1", "l2", "reg", "penalty", "lambda", "alpha"}
COSTS = {"c", "cost"}  # of a support vector machine or a regression
KINDS = {"scheduler", "schedule", "sched", "policy", "type", "kind", "mode", "method"}  # are chosen by a word
DEPTHS = {"layers", "depth", "blocks", "nlayers"}
POWERS = [32, 64, 128]
MAX_CHOICES = 10  # more are a catalog, such as the 41 optimizers of transformers, and no question to ask
WIDE, NARROW = 10.0, 2.0  # factors around a default


def searched(option: Option) -> dict[str, Any] | list[Any] | None:
    """Return what to search, in the language of a study file; None for what stays at its default."""
    domain = _searched(option)
    for default in option.others:
        domain = _united(domain, _searched(replace(option, default=default)))
    if not option.when or domain is None:
        return domain
    given = domain if isinstance(domain, dict) else {"choices": domain}
    return given | {"when": {name: list(values) for name, values in option.when.items()}}


def _united(domain: Any, other: Any) -> Any:
    """Return the range or the choices that have both; the first where they are of two kinds."""
    if not isinstance(domain, dict) or not isinstance(other, dict) or domain.keys() != other.keys():
        return domain
    if "choices" in domain:
        return domain | {"choices": sorted({*domain["choices"], *other["choices"]})}
    return domain | {"low": min(domain["low"], other["low"]), "high": max(domain["high"], other["high"])}


def _searched(option: Option) -> dict[str, Any] | list[Any] | None:
    words, default = set(option.words), option.default
    is_batch = {"batch", "size"} <= words and not words & {"eval", "test", "val", "validation", "auto"}
    if (words & NOT_TUNED and not is_batch) or option.takes > 1 or option.excluded:
        return None
    if option.takes == 0:
        return _around([False, True], bool(default))
    if len(option.choices) > MAX_CHOICES:
        return None
    if option.choices:
        return _around([typed_as(choice) for choice in option.choices], default)
    if default in ("True", "False"):
        return _around(["True", "False"], default)
    is_number = isinstance(default, (int, float)) and math.isfinite(default)
    return _numbers(option) if default is None or is_number else None


def typed_as(choice: Any) -> Any:
    """Return a choice as the number that it is, or as its text."""
    if not isinstance(choice, str):
        return choice
    return int(choice) if choice.strip().isdecimal() else choice


def _around(choices: list[Any], default: Any) -> dict[str, Any] | list[Any]:
    return {"choices": choices, "default": default} if default in choices else choices


def _numbers(option: Option) -> dict[str, Any] | list[Any] | None:
    """Return the range of a number; a name in groups says what it is by its last part, if that says anything."""
    default, words = option.default, set(option.words)
    if default is None and option.kind is None and words & KINDS:
        return None
    last = set(option.last_words)
    make = _maker(last, default) or (_maker(words, default) if isinstance(default, float) else None)
    if make is not None:
        return make(default)
    if isinstance(default, float) and default > 0 and option.kind is not int:
        return {"low": _rounded(default / NARROW), "high": _rounded(default * NARROW), "default": default}
    return None


def _maker(words: set[str], default: Any) -> Callable[[Any], dict[str, Any] | list[Any] | None] | None:
    """Return what makes a range of a default, for what has these words in its name."""
    if words & SHARES:
        return _share
    if words & LEARNING:
        return partial(_log, low=1e-5, high=1e-1)
    if words & DECAYS:
        return partial(_log, low=1e-6, high=1e-2)
    if words & COSTS:
        return partial(_log, low=1e-2, high=1e2)
    if words & DEPTHS:
        return _depth
    return _sizes if words & SIZES and not isinstance(default, float) else None


def _log(default: Any, low: float, high: float) -> dict[str, Any]:
    if not default or default < 0:
        return {"low": low, "high": high, "log": True}
    return {"low": _rounded(default / WIDE), "high": _rounded(default * WIDE), "log": True, "default": default}


def _share(default: Any) -> dict[str, Any] | None:
    if default is None:
        return {"low": 0.0, "high": 0.5}
    if not 0 <= default < 1:
        return None
    if default >= 0.8:  # such as a momentum: what counts is how far it is from 1
        return {
            "low": _rounded(1 - 2 * (1 - default), 6),
            "high": _rounded(1 - (1 - default) / 5, 6),
            "default": default,
        }
    return {"low": 0.0, "high": max(0.5, _rounded(min(0.95, NARROW * default))), "default": float(default)}


def _sizes(default: int | None) -> dict[str, Any] | list[Any] | None:
    if default is None:
        return POWERS
    if default < 1:
        return None
    return {"choices": sorted({max(1, default // 2), default, default * 2}), "default": default}


def _depth(default: Any) -> dict[str, Any]:
    return (
        {"low": max(1, int(default) - 1), "high": int(default) + 2, "default": int(default)}
        if default
        else {"low": 1, "high": 4}
    )


def _rounded(value: float, digits: int = 2) -> float:
    return float(f"{value:.{digits}g}")
