"""Quotes shell commands for messages."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """Return the words as one shell command, each word quoted if necessary."""
    return " ".join(quoted(word) for word in words)


def quoted(word: str | Path) -> str:
    """Return a word, quoted for bash and zsh if necessary. Non-printable characters and bytes that are not
    UTF-8 are escaped."""
    text = os.fspath(word)
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(
        c if c.isprintable() and c not in "'\\" else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for c in text
    )
    return f"$'{escaped}'"
