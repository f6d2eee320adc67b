"""Generates the reference of the commands from the command-line interface."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from manual.markdown import cell, table

KINDS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


@cache
def root() -> Any:
    """Return the command `sensorflow` with all its subcommands."""
    import typer

    from sensorflow.cli import app, commands

    commands.register(app)
    return typer.main.get_command(app)


def leaves(command: Any, path: tuple[str, ...] = ("sensorflow",)) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) for each visible command that has no subcommands, in the order of the
    help."""
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, inner in command.commands.items():
        if not inner.hidden:
            yield from leaves(inner, (*path, name))


def reference() -> str:
    top = root()
    overview = [(f"[`{name}`](#{_anchor(name)})", _short(leaf)) for name, leaf in leaves(top)]
    parts = [table(("Command", "Does"), overview)]
    for name, leaf in leaves(top):
        parts += [f"### `{name}` {{ #{_anchor(name)} }}", *_described(name, leaf)]
    return "\n\n".join(parts)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _short(leaf: Any) -> str:
    return cell(leaf.get_short_help_str(200).rstrip("."))


def _described(name: str, leaf: Any) -> Iterator[str]:
    arguments = [p for p in leaf.params if p.param_type_name == "argument"]
    options = [
        p
        for p in leaf.params
        if p.param_type_name == "option" and not p.hidden and "--help" not in p.opts
    ]
    usage = [name, *(["[OPTIONS]"] if options else []), *(_argument(p) for p in arguments)]
    yield f"```usage\n{' '.join(usage)}\n```"
    yield cell(inspect.cleandoc(leaf.help or ""), pipes=False)
    described = [(f"`{_argument(p)}`", cell(p.help or "")) for p in arguments if p.help]
    if described:
        yield table(("Argument", "Meaning"), described)
    if options:
        yield table(
            ("Option", "Meaning"), [(_option(p), cell(p.help or "") + _default(p)) for p in options]
        )


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[].")
    name = name if parameter.required else f"[{name}]"
    return name + ("..." if parameter.nargs == -1 else "")


def _option(parameter: Any) -> str:
    names = ", ".join(f"`{o}`" for o in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    kind = parameter.type_descriptor.annotation.__name__
    return f"{names} `{parameter.metavar or KINDS.get(kind, kind.upper())}`"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.is_flag or value is None or callable(value) or value in ((), [], ""):
        return ""
    return f" Default: `{value}`."
