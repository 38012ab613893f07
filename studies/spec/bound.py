"""A bound on something that a trial measures, as a study file's `constraints` has it: `n_parameters: "<= 2e6"`."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

_BOUND = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Bound:
    """The most (`is_upper`) or the least that may be measured."""

    is_upper: bool
    value: float

    @classmethod
    def read(cls, text: Any) -> Bound:
        """Return the bound that a text is. Raises ValueError with what was expected."""
        found = _BOUND.fullmatch(text) if isinstance(text, str) else None
        try:
            value = float(found[2]) if found else math.nan
        except ValueError:
            value = math.nan
        if found is None or not math.isfinite(value):
            number = _NUMBER.search(str(text))
            least, most = (number[0],) * 2 if number and math.isfinite(float(number[0])) else ("0.9", "2e6")
            raise ValueError(f'expected such as "<= {most}" or ">= {least}"')
        return cls(found[1] == "<=", value)

    def excess(self, measured: float) -> float:
        """Return by how much it is violated, in the unit of what is measured; at most 0 where it is kept.

        What is no number violates every bound, by the largest number that there is.
        """
        if math.isnan(measured):
            return sys.float_info.max
        excess = measured - self.value if self.is_upper else self.value - measured
        return max(-sys.float_info.max, min(excess, sys.float_info.max))
