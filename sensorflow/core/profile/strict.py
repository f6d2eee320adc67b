"""What every table of a profile, and of the settings, is."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Strict(BaseModel):
    """Frozen, and an unknown key is an error. A `later` key at its default is not serialized.

    leading: the keys that lists of them begin with.
    """

    leading: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def keys(cls) -> list[str]:
        """What may be set, in the order of the documentation."""
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


def later(default: Any, **constraints: Any) -> Any:
    """A field added after the first release: at its default it leaves a profile's hash as it was, so
    that an upgrade does not change the hash of a profile that does not use it."""
    return Field(default=default, json_schema_extra=LATER, **constraints)
