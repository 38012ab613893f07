"""Which rows train, which validate and which test, when the source does not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives._data.kit.split import ROLES, Integers

LEFT_OUT = len(ROLES)
SPLIT_SEED = 2019
HELD_OUT = 0.15  # of each class's different titles, for validation and again for test


def split(titles: NDArray[np.uint64], labels: Integers) -> NDArray[np.uint8]:
    """The role of each row, an index into ROLES, shape (n,).

    titles: a hash of each row's cleaned title, shape (n,). labels: each row's class, shape (n,).
    Rows with the same title get the same role, whatever their classes, so no title is both trained on and scored.
    Within a class the titles are ordered by SPLIT_SEED and the titles themselves (the file's order has no influence);
    15 % of them validate and 15 % test, at least one each where there are three.
    """
    different, title_of_row, class_of_title = by_title(titles, labels)
    order = np.lexsort((_scatter(different), class_of_title))
    sorted_classes = class_of_title[order]
    _, first, n_titles = np.unique(sorted_classes, return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, n_titles)
    held_out = np.maximum(1, np.floor(HELD_OUT * n_titles + 0.5).astype(np.int64))
    held_out = np.repeat(held_out, n_titles)
    roles = np.empty(len(different), dtype=np.uint8)
    roles[order] = np.select([rank < held_out, rank < 2 * held_out], [1, 2], 0)
    return roles[title_of_row]


def by_title(titles: NDArray[np.uint64], labels: Integers) -> tuple[NDArray[np.uint64], NDArray[np.int64], Integers]:
    """The different titles (t,), the place of each row's title among them (n,), and each title's class (t,).

    A title that several classes have belongs to the first of them.
    """
    different, title_of_row = np.unique(titles, return_inverse=True)
    class_of_title = np.full(len(different), np.iinfo(labels.dtype).max, dtype=labels.dtype)
    np.minimum.at(class_of_title, title_of_row, labels)
    return different, title_of_row, class_of_title


def missing_role(roles: NDArray[np.uint8], labels: Integers, needed: Sequence[int]) -> list[int]:
    """The classes with no row in one of the `needed` roles, ascending."""
    used = labels[roles != LEFT_OUT]
    absent = [np.setdiff1d(used, labels[roles == role]) for role in needed]
    return [int(label) for label in np.unique(np.concatenate(absent))]


def _scatter(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Another number for each key, well mixed (splitmix64's finaliser), so that sorting by it shuffles."""
    mixed = keys ^ np.uint64(SPLIT_SEED)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
