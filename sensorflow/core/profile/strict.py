"""The base class of every table in profiles and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Strict(BaseModel):
    """A frozen model that rejects unknown keys. Keys that were defined by `later_default` and have their
    default value are not serialized.

    leading: the keys that are listed first in the documentation. former: key -> its name in the previous
    version, which settings still accept.
    """

    leading: ClassVar[tuple[str, ...]] = ()
    former: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def keys(cls) -> list[str]:
        """Return the keys that can be set, in the order of the documentation."""
        known = {name for name, field in cls.model_fields.items() if not field.exclude}
        return [n for n in dict.fromkeys((*cls.leading, *cls.model_fields)) if n in known]

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        for name, info in type(self).model_fields.items():
            if info.json_schema_extra == LATER and getattr(self, name) == info.default:
                dumped.pop(name, None)
        return dumped


LATER: Any = {"later": True}


def later_default(default: Any, **constraints: Any) -> Any:
    """Define a field that was added after the first release. Its default value does not affect the
    profile's hash, so an upgrade does not change the hash of profiles that do not use the field."""
    return Field(default=default, json_schema_extra=LATER, **constraints)
