"""Texts of files, for people: nothing in them that a terminal, a log or a page would act on.

Escaped are the control characters (ESC, the C1 set, DEL), marks of direction and other characters without a
picture: all that `str.isprintable` refuses.
"""

from __future__ import annotations

import json
import re
from typing import Any

_HIDDEN = re.compile(r"[^\x20-\x7e]")


def shown(text: str, keep: str = "") -> str:
    """A text with `\\x1b` in place of such a character; idempotent. keep: characters that stay.

    >>> shown("caf\u00e9 \x1b[2J \u202e"), shown("a\nb", keep="\n")
    ('caf\u00e9 \\\\x1b[2J \\\\u202e', 'a\\nb')
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shown_in(value: Any) -> Any:
    """The same of all texts in a value of lists and dicts."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown_in(key): shown_in(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(shown_in, value)) if type(value) in (list, tuple) else value
    return value


def json_of(value: Any, **options: Any) -> str:
    """JSON that means the value as it is, and holds such characters as `\\u001b` alone. Letters stay."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return _HIDDEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    if (
        character.isprintable() or character == "\n"
    ):  # of the indent; in a text it is escaped by now
        return character
    return json.dumps(character)[1:-1]
