"""Why cells or rows are refused: the number of an `errors.Code`, 0 where nothing speaks against one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int16]


def unrefused(count: int) -> Codes:
    """Nothing speaks against any of them."""
    return np.zeros(count, np.int16)
