"""Commands for people to type."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """A line for a shell, each word quoted where it must be."""
    return " ".join(quoted(word) for word in words)


def quoted(word: str | Path) -> str:
    """What a terminal cannot show, and bytes that are no UTF-8, as bash and zsh read them."""
    text = os.fspath(word)
    if text.isprintable():
        return shlex.quote(text)
    made = "".join(
        c if c.isprintable() and c not in "'\\" else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for c in text
    )
    return f"$'{made}'"
