"""XML elements as Python objects, and the evaluation of paths within a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sensorflow.core.elementpath import NAME, Step, Steps


class Repeated(list[Any]):
    """A list of elements with the same name and the same parent."""


class Element(dict[str, Any]):
    """An XML element, as a dict of its children and attributes: name -> child, "@name" -> attribute. A
    child is an `Element`, its text, or `Repeated`. text: the element's own text."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def add(self, name: str, value: Any) -> None:
        existing = self.get(name)
        if existing is None:
            self[name] = value
        elif isinstance(existing, Repeated):
            existing.append(value)
        else:
            self[name] = Repeated([existing, value])

    def leaves(self, prefix: str) -> Iterator[tuple[str, str | None]]:
        """Yield (path, text) for each text within the element. This includes the element's own text if
        it is not empty, or if the element has no children. prefix: the element's path."""
        if prefix and (self.text or all(name.startswith("@") for name in self)):
            yield prefix, self.text
        for name, member in self.items():
            yield from _leaves(member, f"{prefix}.{name}" if prefix else name)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, Element):
        yield from value.leaves(path)
    elif isinstance(value, Repeated):
        for index, member in enumerate(value):
            yield from _leaves(member, f"{path}[{index}]")
    else:
        yield path, value


def reach(value: Any, steps: Steps, name: str) -> Any:
    """Return the text at a path within the element `value`. Returns a list of texts if several elements
    match, and None if none does. name: the element's name."""
    found = [value]
    for step in steps:
        if step.name == NAME:
            return name
        found = [inner for outer in found for inner in _members(outer, step)]
    texts = [item.text if isinstance(item, Element) else item for item in found]
    return texts[0] if len(texts) == 1 else texts or None


def _members(value: Any, step: Step) -> Iterator[Any]:
    if not isinstance(value, Element):
        return
    names = [step.name] if step.name in value else [n for n in value if _fits(step, n)]
    for name in names:
        member = value[name]
        every = member if isinstance(member, Repeated) else (member,)
        if step.place is None:
            yield from every
        elif step.place < len(every):
            yield every[step.place]


def _fits(step: Step, name: str) -> bool:
    return step.is_last == name.startswith("@") and step.fits(name)
