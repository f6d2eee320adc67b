"""Arrays of reject codes. An element is the number of an `errors.Code`, or 0 if the cell or row is
accepted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int16]


def no_codes(count: int) -> Codes:
    """Return codes that reject nothing."""
    return np.zeros(count, np.int16)
