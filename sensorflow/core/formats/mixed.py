"""Collects the texts of open XML elements. An element with mixed content contains both texts and child
elements."""

from __future__ import annotations


class _Text:
    __slots__ = ("at_border", "full_text", "is_cut", "own", "size")

    def __init__(self) -> None:
        self.own: list[str] = []
        """The element's own text, from the first piece that is not blank."""
        self.full_text: list[str] | None = None
        """The element's text including the texts of nested elements. None until a nested element follows
        the first piece of the element's own text."""
        self.is_cut = False
        """Whether a nested element is between two pieces of the element's own text."""
        self.at_border = False
        """Whether a nested element without text came last."""
        self.size = 0

    def cut(self, data: str) -> None:
        """Prepare to add a piece of the element's own text that follows a child element. Adds a space
        between the pieces if needed, because <x>1<br/>5</x> is not 15."""
        assert self.full_text is not None
        if self.at_border and not data[0].isspace() and not self.full_text[-1][-1].isspace():
            self.full_text.append(" ")
        self.is_cut |= not data.isspace()
        self.at_border = False

    def take(self, data: str, within: bool) -> None:
        """Add a piece of text to `full_text`. within: whether the piece is in a nested element."""
        assert self.full_text is not None
        self.at_border &= not within
        self.full_text.append(data)
        self.size += len(data)


class Texts:
    """Collects the texts of open elements.

    The text of an element is usually only its own text, without the texts of its child elements, as in
    <x>21.5<unit>C</unit></x>. If a child element is between two pieces of the text, as in <name>Station
    <b>5</b> North</name>, the child's text is included. Without it, the joined pieces would be another word
    or number.
    """

    def __init__(self) -> None:
        self._open: list[_Text | None] = []
        self._mixed: list[_Text] = []

    def start(self, wanted: bool = True) -> None:
        """Handle the start of an element. wanted: whether `end` must return its text."""
        above = self._open[-1] if self._open else None
        if above is not None and above.own and above.full_text is None:
            above.full_text = above.own.copy()
            self._mixed.append(above)
        if above is not None:
            above.at_border = True
        self._open.append(_Text() if wanted else None)

    def add(self, data: str) -> int:
        """Add a piece of text. Returns the length of the longest collected text, in characters."""
        longest = 0
        innermost = self._open[-1] if self._open else None
        if innermost is not None and (innermost.own or not data.isspace()):
            if innermost.full_text is not None:
                innermost.cut(data)
            innermost.own.append(data)
            innermost.size += len(data) if innermost.full_text is None else 0
            longest = innermost.size
        for mixed in self._mixed:
            mixed.take(data, within=mixed is not innermost)
            longest = max(longest, mixed.size)
        return longest

    def end(self) -> str | None:
        """Handle the end of an element. Returns the element's text, or None if its text was not wanted
        at the start."""
        done = self._open.pop()
        if done is None:
            return None
        if self._mixed and self._mixed[-1] is done:
            self._mixed.pop()
        pieces = done.full_text if done.is_cut and done.full_text is not None else done.own
        return "".join(pieces).strip()
