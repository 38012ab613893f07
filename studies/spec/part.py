"""What every part of a study file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of a study file: no unknown keys, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)
