"""Moving averages within sessions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def averaged(
    values: NDArray[np.floating], offsets: NDArray[np.int64], span: int, before: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Exponentially weighted means of each column within each session, float64 of the shape of `values`.

    y[0] = x[0], y[t] = (1 - a) y[t - 1] + a x[t] with a = 2 / (span + 1): pandas' ewm(span=span, adjust=False).
    values: (n, k). offsets: as in Motor. span: in samples, two per second. before: if the values continue one session,
    its means (k,) at the row before them.
    After each pass over the array a mean covers twice as many samples, so a session needs log2 of its length passes, or
    fewer if the weights vanish in double precision before that.
    """
    rate = 2 / (span + 1)
    means = np.empty(values.shape, dtype=np.float64)
    for begin, end in pairwise(offsets):
        session = rate * values[begin:end].astype(np.float64)
        session[:1] = values[begin : begin + 1] if before is None else session[:1] + (1 - rate) * before
        reach, weight = 1, 1 - rate
        while reach < len(session) and weight > np.finfo(np.float64).eps:
            session[reach:] += weight * session[:-reach]
            reach, weight = 2 * reach, weight * weight
        means[begin:end] = session
    return means
