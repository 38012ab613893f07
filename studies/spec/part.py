"""What every part of a study file has in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)
from pydantic_core import PydanticCustomError

LARGEST = 2**31 - 1


class Part(BaseModel):
    """A part of a study file: no unknown keys, no changes afterwards.

    later: keys that an earlier release did not have. At their defaults they are not stored, so that what was stored
    before there were these keys means the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    later: ClassVar[Collection[str]] = ()

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self.without_defaults(serialize(self))

    def without_defaults(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return what was serialized without the keys of `later` that are at their defaults."""
        fields = type(self).model_fields
        return {key: value for key, value in found.items() if not self._is_default(key, fields[key].default)}

    def _is_default(self, key: str, default: Any) -> bool:
        return key in self.later and getattr(self, key) == default

    @field_validator("*", mode="before")
    @classmethod
    def _is_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number, which Python takes for 1 and 0, and more than PostgreSQL counts."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {annotation, *get_args(annotation)}
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise PydanticCustomError("number", "expected a number")
        if isinstance(value, (int, float)) and kinds & {int, float} and value > LARGEST:
            raise PydanticCustomError("number", "expected {largest} or less", {"largest": LARGEST})
        return value
