"""A checksum of readings that depends neither on the order of rows nor on their division into batches.

Each row contributes 64 bits, which are mixed from its dedupe key (which covers sensor, time, type and file)
and the bits of its value. The checksum is the sum of these contributions modulo 2**64. A sum detects a row
that occurs twice. An exclusive or would not, because two equal contributions would cancel. The mixer is the
finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MODULUS = 2**64


Words = npt.NDArray[np.uint64]


def mix(z: Words) -> Words:
    """Mix the bits of each word, so that sums of different words are unlikely to be equal."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def checksum(keys: pa.Array, values: pa.Array) -> int:
    """Return the checksum (0 … 2^64-1) of rows with these dedupe keys (binary(16)) and values (double).

    The checksum of several sets of rows together is the sum of their checksums, modulo `MODULUS`.
    """
    with np.errstate(over="ignore"):
        return int(np.add.reduce(marks(keys, values)))


def marks(keys: pa.Array, values: pa.Array) -> Words:
    """Return the 64 bits that each row contributes to the checksum."""
    if not len(keys):
        return np.zeros(0, np.uint64)
    start = 16 * keys.offset
    halves = np.frombuffer(keys.buffers()[1], ">u8")[start // 8 : start // 8 + 2 * len(keys)]
    halves = halves.astype(np.uint64).reshape(-1, 2)
    value_bits = np.ascontiguousarray(values.to_numpy(), np.float64).view(np.uint64)
    return mix(halves[:, 0] ^ mix(value_bits ^ halves[:, 1]))
