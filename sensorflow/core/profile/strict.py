"""The base class of every table in profiles and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Strict(BaseModel):
    """A frozen model that refuses unknown keys. A `later_default` key at its default is not serialized.

    leading: the keys that come first in lists of keys. former: key to its name in the previous version,
    which settings still accept."""

    leading: ClassVar[tuple[str, ...]] = ()
    former: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def keys(cls) -> list[str]:
        """Return the keys that can be set, in the order of the documentation."""
        there = {name for name, field in cls.model_fields.items() if not field.exclude}
        return [n for n in dict.fromkeys((*cls.leading, *cls.model_fields)) if n in there]

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        made: dict[str, Any] = dump(self)
        for name, info in type(self).model_fields.items():
            if info.json_schema_extra == LATER and getattr(self, name) == info.default:
                made.pop(name, None)
        return made


LATER: Any = {"later": True}


def later_default(default: Any, **constraints: Any) -> Any:
    """Return a field added after the first release. At its default it leaves the profile's hash unchanged,
    so an upgrade does not change the hash of profiles that do not use it."""
    return Field(default=default, json_schema_extra=LATER, **constraints)
