"""The process's own random generators: torch's, numpy's and Python's. Seeding them, and noting who draws from them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from studies.check.own_code import OwnCode
from studies.check.watch import replaced

DRAWS: tuple[tuple[str, ModuleType, tuple[str, ...]], ...] = (
    ("numpy", np.random, (
        "rand", "randn", "randint", "random", "random_sample", "choice", "shuffle", "permutation", "normal", "uniform",
    )),
    ("random", random, (
        "random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform", "gauss",
    )),
    ("system", np.random, ("default_rng",)),
    ("system", random, ("_urandom",)),
    ("system", os, ("urandom",)),
)  # fmt: skip


def seed_generators(noise: Mapping[str, int]) -> None:
    """Seed the process's own generators, each with its number in `noise`, or with 0."""
    import torch

    torch.manual_seed(noise.get("torch", 0))
    np.random.seed(noise.get("numpy", 0))
    random.seed(noise.get("random", 0))


@contextmanager
def counted_draws(draws: dict[str, str | None], source: OwnCode) -> Iterator[None]:
    """Note in `draws` where numbers are first drawn from numpy's and Python's own generators."""

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*args: Any, **kwargs: Any) -> Any:
            seeded = function.__name__ == "default_rng" and (args or kwargs)
            if not seeded and name not in draws and (where := source.here()):
                draws[name] = where
            return function(*args, **kwargs)

        return draw

    with ExitStack() as stack:
        for name, module, functions in DRAWS:
            for function in functions:
                stack.enter_context(replaced(module, function, noting(name, getattr(module, function))))
        yield
