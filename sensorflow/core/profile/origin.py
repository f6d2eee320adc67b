"""Where a text comes from."""

from __future__ import annotations

import re
from typing import Any

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, Regex
from sensorflow.core.profile.strict import Strict, later


class Origin(Strict):
    """Where a text comes from: exactly one of a column, a constant, a template or a pattern.

    The patterns are regular expressions whose first group is the text: `file_name` is searched in
    the file's name, `path` in its path below the source's folder, `preamble` in the lines before
    the header, `header` in the title of the time column. `match` goes with `column`: a pattern whose
    first group is taken of each cell; so does `default`, the text of cells without one, and `tags`: a
    pattern of the titles of columns that are added as ",title=cell".
    """

    column: Reference | None = None
    match: Grouped | None = None
    constant: str | None = None
    template: str | None = None
    file_name: Grouped | None = None
    path: Grouped | None = None
    preamble: Grouped | None = None
    header: Grouped | None = None
    # what an empty cell of the column stands for
    default: str | None = later(None)
    # titles of columns that follow as ",name=value"
    tags: Regex | None = later(None)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return {"template": given} if TEMPLATE.search(given) else {"column": given}

    @model_validator(mode="after")
    def _one(self) -> Origin:
        given = set(self.model_dump(exclude_none=True))
        beside = {"match", "default", "tags"}
        if len(given - beside) != 1:
            names = ", ".join(name for name in type(self).model_fields if name not in beside)
            raise ValueError(f"give exactly one of {names}")
        if given & beside and self.column is None:
            raise ValueError(
                "match, default and tags require column, because they apply to its cells"
            )
        return self

    @property
    def name_matters(self) -> bool:
        return self.file_name is not None or self.path is not None


TEMPLATE = re.compile(r"\{([^{}]+)\}")
Text = Origin | None
