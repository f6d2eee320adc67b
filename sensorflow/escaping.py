"""Escapes text from files before it is shown in a terminal, a log or a web page.

All characters for which `str.isprintable` is False are escaped: control characters (ESC, the C1 set, DEL),
direction marks and other invisible characters. A file therefore cannot send control sequences to a
terminal.
"""

from __future__ import annotations

import json
import re
from typing import Any

_HIDDEN = re.compile(r"[^\x20-\x7e]")


def escape(text: str, keep: str = "") -> str:
    """Return the text with non-printable characters escaped, such as `\\x1b`. Idempotent.

    keep: characters that are not escaped.

    >>> print(escape("caf\u00e9 \\x1b[2J"), escape("a\\tb", keep="\\t") == "a\\tb")
    caf\u00e9 \\x1b[2J True
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def escape_all(value: Any) -> Any:
    """Apply `escape` to all strings in nested lists, tuples and dicts."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape_all(key): escape_all(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(escape_all, value)) if type(value) in (list, tuple) else value
    return value


def to_json(value: Any, **options: Any) -> str:
    """Return a value as JSON. Non-printable characters are escaped, for example as `\\u001b`. Letters are
    not escaped, whatever their script. options: further arguments of `json.dumps`."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return _HIDDEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    if (
        character.isprintable() or character == "\n"
    ):  # a newline is indentation here; within strings it is already escaped
        return character
    return json.dumps(character)[1:-1]
