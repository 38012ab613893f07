"""A Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5).

Its covariance is Matern's with nu = 5/2 and a length scale for each input, so that what does not matter gets a long
one. The length scales and the noise are the most likely ones a posteriori; the amplitude follows from them. It is for
100 or so observations: a fit takes 20 ms then, where the Gaussian processes of torch take seconds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from studies.search.cube import squared_distances

LENGTH, LENGTH_SPREAD = 0.6, 0.8  # a length a priori, and the standard deviation of its logarithm
NOISE, NOISE_SPREAD = math.log(0.05), 1.0  # of the noise's variance in units of the amplitude's
LENGTHS, NOISES = (math.log(0.05), math.log(10.0)), (math.log(1e-4), 0.0)  # what the logarithms may be
JITTER = 1e-6
N_STEPS = 15  # of the search for the most likely ones, which is nearly at its end by then
ROOT5 = math.sqrt(5)
ALGEBRA = ThreadpoolController()  # several threads wait for each other longer than such small matrices take


class Process:
    """What is expected at any input, and how sure that is, from what was observed at some."""

    def __init__(self, inputs: np.ndarray, values: np.ndarray, last_length: float = LENGTH) -> None:
        """inputs: [n, d]. values: [n]. last_length: the length scale that the last input has a priori."""
        self._inputs = inputs
        self._mean, self._sd = float(values.mean()), float(values.std()) or 1.0
        self._values = (values - self._mean) / self._sd
        n, d = inputs.shape
        a_priori = np.append(np.full(d, math.log(LENGTH)), NOISE)
        a_priori[d - 1] = math.log(last_length)
        spread = np.append(np.full(d, LENGTH_SPREAD), NOISE_SPREAD)
        squares = np.square(inputs.T[:, :, None] - inputs.T[:, None, :]).reshape(d, n * n)
        found = minimize(
            self._unlikelihood, a_priori, (squares, a_priori, spread), method="L-BFGS-B", jac=True,
            bounds=[LENGTHS] * d + [NOISES], options={"maxiter": N_STEPS, "maxfun": N_STEPS + 5},
        )  # fmt: skip
        self._lengths = np.exp(found.x[:d])
        covariance = self.covariance(inputs, inputs)
        covariance[np.diag_indices(n)] += math.exp(found.x[d]) + JITTER
        self._root = cholesky(covariance, lower=True)
        self._weights = cho_solve((self._root, True), self._values)
        self._amplitude = _amplitude(self._values, self._weights)

    def expected(self, inputs: np.ndarray) -> np.ndarray:
        """Return what is expected at inputs, [n]."""
        expected: np.ndarray = self._mean + self._sd * (self.covariance(inputs, self._inputs) @ self._weights)
        return expected

    def uncertainty(self, inputs: np.ndarray) -> np.ndarray:
        """Return the standard deviation of what is expected at inputs, [n]."""
        across = self.covariance(inputs, self._inputs)
        known = np.square(solve_triangular(self._root, across.T, lower=True, check_finite=False)).sum(axis=0)
        uncertainty: np.ndarray = self._sd * np.sqrt(np.maximum((1 - known) * self._amplitude, 1e-10))
        return uncertainty

    def covariance(self, inputs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariances of inputs with others, [n, m], of which one with itself is 1."""
        return _matern(squared_distances(inputs / self._lengths, others / self._lengths))[0]

    def _unlikelihood(
        self, logarithms: np.ndarray, squares: np.ndarray, a_priori: np.ndarray, spread: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return minus the log posterior density of lengths and noise, and its gradient.

        squares: of the differences of inputs, [d, n * n].
        """
        n, d = self._inputs.shape
        shrink, noise = np.exp(-2 * logarithms[:d]), math.exp(logarithms[d])
        covariance, slope = _matern((shrink @ squares).reshape(n, n))
        covariance[np.diag_indices(n)] += noise + JITTER
        root, failed = lapack.dpotrf(covariance, lower=1)
        if failed:
            return 1e10, np.zeros(d + 1)
        weights = lapack.dpotrs(root, self._values, lower=1)[0]
        inverse = np.tril(lapack.dpotri(root, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        amplitude = _amplitude(self._values, weights)
        likelihood = -(n / 2 + 1) * math.log(amplitude) - np.log(np.diag(root)).sum()
        pull = np.outer(weights, weights) / amplitude - inverse
        gradient = np.append(0.5 * shrink * (squares @ (pull * slope).ravel()), 0.5 * noise * np.trace(pull))
        far = (logarithms - a_priori) / spread
        return float(0.5 * far @ far - likelihood), far / spread - gradient


def _matern(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return covariances for squared distances, and how they grow with the logarithm of a length, a square each."""
    distances = ROOT5 * np.sqrt(squares)
    decay = np.exp(-distances)
    return (1 + distances + distances**2 / 3) * decay, 5 / 3 * (1 + distances) * decay


def _amplitude(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the most likely variance of the process, held near 1 by two observations a priori."""
    return float((values @ weights + 2) / (len(values) + 2))
