"""Arrays of reject codes: per cell or row the number of an `errors.Code`, or 0 if it is accepted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int16]


def no_codes(count: int) -> Codes:
    """Return codes that reject nothing."""
    return np.zeros(count, np.int16)
