"""The sources of texts in profiles, such as the sensor's name or the unit."""

from __future__ import annotations

import re
from typing import Any

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, Regex
from sensorflow.core.profile.strict import Strict, later_default


class TextSource(Strict):
    """The source of a text: exactly one of a column, a constant, a template or a pattern.

    A pattern is a regular expression whose first group is the text. The key of the pattern selects what is
    searched: `file_name` the file's name, `path` the file's path below the source's folder, `preamble` the
    lines before the header, `header` the title of the time column.

    Three keys require `column`. match: a pattern whose first group is extracted from each cell. default:
    the text for empty cells. tags: a pattern for the titles of further columns. Each of these columns is
    appended to the text as ",title=cell".
    """

    column: Reference | None = None
    match: Grouped | None = None
    constant: str | None = None
    template: str | None = None
    file_name: Grouped | None = None
    path: Grouped | None = None
    preamble: Grouped | None = None
    header: Grouped | None = None
    # the text of an empty cell
    default: str | None = later_default(None)
    # titles of columns that are appended as ",name=value"
    tags: Regex | None = later_default(None)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return {"template": given} if TEMPLATE.search(given) else {"column": given}

    @model_validator(mode="after")
    def _one(self) -> TextSource:
        given = set(self.model_dump(exclude_none=True))
        beside = {"match", "default", "tags"}
        if len(given - beside) != 1:
            names = ", ".join(name for name in type(self).model_fields if name not in beside)
            raise ValueError(f"give exactly one of {names}")
        if given & beside and self.column is None:
            raise ValueError(
                "match, default and tags require column, because they apply to the cells of a column"
            )
        return self

    @property
    def name_matters(self) -> bool:
        return self.file_name is not None or self.path is not None


TEMPLATE = re.compile(r"\{([^{}]+)\}")
Text = TextSource | None
