"""Which rows are held out, drawn from their content: order has no influence, and equal rows stay together."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]

ROLES = ("train", "validation", "test")
SPLIT_SEED = b"2019"
# What files and directories of a role are called, in lower case.
ROLE_NAMES = {
    f"{name}{end}": role
    for role, names in {
        "train": ("train", "training"),
        "validation": ("val", "valid", "validation", "dev"),
        "test": ("test", "testing"),
    }.items()
    for name in names
    for end in ("", "_set")
}


def content_key(content: bytes) -> int:
    """64 bits that are the same for the same bytes and look random otherwise."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=SPLIT_SEED).digest(), "little")


def carve(keys: NDArray[np.uint64], strata: Integers, share: float) -> NDArray[np.bool_]:
    """Return which rows to hold out, shape (n,): in each stratum about `share` of its different keys, at least one.

    keys: each row's content_key, shape (n,); rows with the same key are held out together, with the lowest stratum that
    any of them has, so that no content is on both sides. strata: each row's class, shape (n,); zeros when there are
    none. From a stratum with a single key nothing is held out.
    """
    different, row_of = np.unique(keys, return_inverse=True)
    stratum = np.full(len(different), np.iinfo(strata.dtype).max, dtype=strata.dtype)
    np.minimum.at(stratum, row_of, strata)
    order = np.lexsort((different, stratum))  # the keys look random, so their order does
    _, first, count = np.unique(stratum[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, count)
    n_held = np.where(count > 1, np.maximum(1, np.floor(share * count + 0.5)), 0)
    held = np.empty(len(different), dtype=np.bool_)
    held[order] = rank < np.repeat(n_held, count)
    return held[row_of]
