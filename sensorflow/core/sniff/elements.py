"""Finds the elements of XML documents that are records, and converts them to tables. The columns are the
attributes and texts of these elements."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sensorflow.core.formats.events import Handler, parsed
from sensorflow.core.sniff import documents, leaves, markup, numeric, titled
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import PROBE, Text
from sensorflow.core.sniff.places import Place, below
from sensorflow.core.sniff.table import Column, Table
from sensorflow.errors import Code, Permanent, UsageError

RECORDS = 5000
"""Maximum number of records that are examined."""
PATHS = 12
"""Maximum number of paths whose records are examined."""
PLACES = 4
"""Maximum number of paths for which a proposal is tested."""
LISTED = 50
"""If a record has several elements with the same name, they become columns only if there are at most this
many."""
MAX_DEPTH = 4
"""Maximum nesting depth of elements in a record."""
LIST = 12
"""A text with more numbers than this is a list."""
ELEMENTS = 200_000
_SCHEMA = re.compile(r"xmlns|xsi:|xlink:|xml:")
Names = tuple[str, ...]


class Node:
    """An element of the document. names: the element names on the path from the root to this element,
    without prefixes. above: the parent element. members: the child elements. closed: whether the end of
    the element is in the sample."""

    __slots__ = ("above", "attributes", "closed", "members", "names", "text")

    def __init__(self, names: Names, attributes: dict[str, str], above: Node | None) -> None:
        self.names, self.attributes, self.above = names, attributes, above
        self.members: list[Node] = []
        self.text = ""
        self.closed = False

    @property
    def name(self) -> str:
        return self.names[-1]


class _Tree(Handler):
    """Collects the elements in the sample: path -> elements, in the order in which they end."""

    def __init__(self) -> None:
        super().__init__(PROBE)
        self.root: Node | None = None
        self.found: dict[Names, list[Node]] = {}
        self._open: list[tuple[Node, list[str]]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        above = self._open[-1][0] if self._open else None
        attributes_text = {
            key.rpartition(":")[2]: value.strip()
            for key, value in attributes.items()
            if not _SCHEMA.match(key)
        }
        names = (*(above.names if above else ()), name.rpartition(":")[2])
        node = Node(names, attributes_text, above)
        if above is None:
            self.root = node
        else:
            above.members.append(node)
        self._open.append((node, []))
        self._count += 1

    def text(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def end(self, name: str) -> None:
        node, texts = self._open.pop()
        node.text, node.closed = "".join(texts).strip(), True
        if self._count <= ELEMENTS:
            self.found.setdefault(node.names, []).append(node)


def _tree(text: Text) -> _Tree:
    """Parse the sample. Raises UsageError if the sample is not well-formed."""
    tree = _Tree()
    # without the declaration, because the text is already decoded
    plain = re.sub(r"^\s*<\?xml[^>]*\?>", lambda m: "\n" * m[0].count("\n"), text.text)
    try:
        for _ in parsed(io.BytesIO(plain.encode("utf-8", "replace")), PROBE, tree):
            pass
    except Permanent as error:
        if text.complete or error.code is not Code.UNREADABLE or tree.root is None:
            raise UsageError(" ".join(error.message.split())) from error
    return tree


def tables(text: Text) -> list[Table]:
    """Return a table for each kind of element that may be a record, the most likely kind first. Raises
    UsageError if no elements contain a time and a number."""
    tree = _tree(text)
    candidates = [
        (table, names) for names in _paths(tree) if (table := _table(tree, names, text)).rows
    ]
    ranked = [
        (documents.score(table, Place(".".join(names))), table, names)
        for table, names in candidates
    ]
    ranked = [m for m in ranked if m[1].rows > 1 or any(map(documents.is_time, _inside(m[1])))]
    found = sorted((m for m in ranked if m[0] > 0), key=lambda m: -m[0])
    listed = _longest(tree)
    if listed > max(LIST, *(m[0] for m in found), 0):
        raise UsageError(
            f"this XML has {listed:,} values in one text, which cannot be read: export it as CSV or JSON"
        )
    if not found:
        raise UsageError(
            "no profile can be proposed, because no elements with a time and a number were found in this "
            'XML; if it contains such elements, write a profile with format = "xml" and records, the path '
            "to these elements; docs/profiles/xml.md has examples"
        )
    limit = found[0][0]
    similar = [m for m in found if m[0] >= 0.3 * limit][:PLACES]
    return [
        _with_neighbour_columns(table, names, [m for m in found if m[0] >= 0.2 * limit])
        for _, table, names in similar
    ]


def _inside(table: Table) -> list[Column]:
    return [c for c in table.columns if not c.above]


def _longest(tree: _Tree) -> int:
    """Return the largest number of values in one text."""
    texts = (
        node.text for nodes in tree.found.values() for node in nodes if len(node.text) > 2 * LIST
    )
    counts = (sum(map(numeric.is_number, re.split(r"[\s;,@|]+", text))) for text in texts)
    return max(counts, default=0)


def _with_neighbour_columns(
    table: Table, mine: Names, found: Sequence[tuple[float, Table, Names]]
) -> Table:
    """Return the table with a hint about records at other places. mine: the path of the table's records."""
    other: list[Names] = []
    for _, _, names in found:
        shared = min(len(names), len(mine))
        inner = any(names[: len(o)] == o for o in other)
        if names[:shared] != mine[:shared] and not inner:
            other.append(names)
    if not other:
        return table
    where = ", ".join(".".join(names) for names in other[:4])
    todo = f"records at {where} are ignored: they need a separate profile"
    return Table(
        table.columns, table.settings, "", False, table.complete, table.above, (*table.todo, todo),
        markers=table.markers,
    )  # fmt: skip


def _paths(tree: _Tree) -> list[Names]:
    """Return the paths of the elements that may be records. The paths whose elements contain the most
    numbers come first. The numbers are estimated from the first elements. Of paths with equally many
    numbers, the shorter one comes first."""
    counts: Counter[Names] = Counter()
    for names, nodes in tree.found.items():
        some = nodes[:3]
        if _too_deep(dict(own(some[0])), 1 if len(nodes) == 1 else MAX_DEPTH):
            continue
        numbers = sum(numeric.is_number(t) for node in some for _, t in own(node))
        if numbers:
            counts[names] = numbers * len(nodes) // len(some)
    return sorted(counts, key=lambda n: (-counts[n], len(n)))[:PATHS]


def _too_deep(paths: Iterable[str], limit: int) -> bool:
    """Return whether a path within an element has too many steps. The element is then more likely a
    container of records than a record."""
    return any(path.replace("['", ".").count(".") > limit for path in paths if path != ".")


def own(node: Node, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) for each text in an element and its descendants. If several children have the
    same name, their texts are included only if they have no children or attributes. The path then
    contains the child's position."""
    for key, value in node.attributes.items():
        yield below(prefix, f"@{key}"), value
    if node.text or not (node.members or node.attributes):
        yield prefix or ".", node.text
    yield from within(node, node.members, prefix)


def within(node: Node, members: Sequence[Node], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield (path, text) for each text in some children of an element. members: these children."""
    counts = Counter(member.name for member in node.members)
    placed: Counter[str] = Counter()
    for member in members:
        path = below(prefix, member.name)
        if counts[member.name] == 1:
            yield from own(member, path)
        elif not member.members and not member.attributes and counts[member.name] <= LISTED:
            yield f"{path}[{placed[member.name]}]", member.text
            placed[member.name] += 1


def _table(tree: _Tree, names: Names, text: Text) -> Table:
    nodes = tree.found[names][:RECORDS]
    found = [*_own(nodes), *_around(nodes, names)]
    columns = titled.columns(found, names[-1], tree.root)
    path = ""
    for name in names:
        path = below(path, name)
    settings = (
        Line("format", "xml"),
        Line("records", path, f"{len(nodes)} in the sample"),
        *(
            line
            for line in text.settings
            if line.key != "encoding" or not markup.declares(text.text)
        ),
    )
    above = tuple(c for c in columns if c.above)
    markers = titled.markers(above)
    return Table(tuple(columns), settings, "", False, text.complete, above, markers=markers)


def _own(nodes: Sequence[Node]) -> list[Column]:
    rows = [dict(own(node)) for node in nodes]
    names = list(dict.fromkeys(name for row in rows for name in row))[: leaves.MAX_LEAVES]
    return [
        Column(i, name, "", [row.get(name, "") for row in rows]) for i, name in enumerate(names)
    ]


def _around(nodes: Sequence[Node], names: Names) -> list[Column]:
    """Return columns of the texts that are outside the records and before them. The texts of the nearest
    element come first."""
    texts: dict[Node, dict[str, str]] = {}
    rows = []
    for node in nodes:
        row: dict[str, str] = {}
        above = node.above
        while above is not None:
            if above not in texts:
                texts[above] = dict(_before(above, names))
            row |= texts[above]
            above = above.above
        rows.append(row)
    found = list(dict.fromkeys(name for row in rows[:: max(1, len(rows) // 50)] for name in row))
    return [
        Column(10_000 + i, name, "", [row.get(name, "") for row in rows], above=True)
        for i, name in enumerate(found[: leaves.ABOVE])
    ]


def _before(node: Node, names: Names) -> Iterator[tuple[str, str]]:
    """Yield (path, text) for each text that is in the element `node` and before the records in it.
    names: the path of the records."""
    prefix = "$"
    for name in node.names:
        prefix = below(prefix, name)
    onward = names[len(node.names)]
    for key, value in node.attributes.items():
        yield f"{prefix}.@{key}", value
    members = []
    for member in node.members:
        if member.name == onward:
            break
        members.append(member)
    for path, value in within(node, members, prefix):
        if not path.endswith("]"):
            yield path, value
