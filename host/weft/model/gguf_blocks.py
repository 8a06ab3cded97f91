# SPDX-License-Identifier: Apache-2.0
"""Unpacks the 32-value blocks of GGUF, and plain numbers.

Every function takes blocks as they lie in a file, uint8 [blocks, bytes of a block], in the layout
that its docstring gives: fields in order, little-endian. Nibble j of 4-bit codes is the low half
of byte j for j below 16 and the high half of byte j - 16 from there on.

Source of the layouts: ggml-common.h and ggml-quants.c of https://github.com/ggml-org/llama.cpp; a
test compares every type with the `gguf` package.
"""

import numpy as np
import numpy.typing as npt

from weft.codebooks import FP4, IQ4_NL

__all__ = [
    "Floats",
    "Integers",
    "Raw",
    "bf16",
    "f16",
    "f32",
    "half",
    "iq4_nl",
    "mxfp4",
    "nibbles",
    "q4_0",
    "q4_1",
    "q5_0",
    "q5_1",
    "q8_0",
]

Raw = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = tuple[npt.NDArray[np.int8], Floats]
"""What a block says exactly: int8 [blocks, 32], and the scale of each block, float32 [blocks]."""

_LOW, _HALF = np.uint8(15), np.uint8(4)


def f32(raw: Raw) -> Floats:
    """One float32."""
    return np.ascontiguousarray(raw).view("<f4")


def f16(raw: Raw) -> Floats:
    """One float16."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def bf16(raw: Raw) -> Floats:
    """The upper half of one float32."""
    return (np.ascontiguousarray(raw).view("<u2").astype(np.uint32) << 16).view(np.float32)


def half(raw: Raw, at: int) -> Floats:
    """The float16 at byte `at` of each block, [blocks]."""
    return np.ascontiguousarray(raw[:, at : at + 2]).view("<f2")[:, 0].astype(np.float32)


def nibbles(packed: Raw) -> Raw:
    """The 4-bit codes of [..., n] bytes: [..., 2 n], low halves first."""
    return np.concatenate([packed & _LOW, packed >> _HALF], axis=-1)


def q8_0(raw: Raw) -> Integers:
    """float16 scale, 32 int8."""
    return raw[:, 2:].view(np.int8), half(raw, 0)


def q4_0(raw: Raw) -> Integers:
    """float16 scale, 16 bytes of codes; a code stands for itself less 8."""
    return nibbles(raw[:, 2:]).view(np.int8) - np.int8(8), half(raw, 0)


def q5_0(raw: Raw) -> Integers:
    """float16 scale, 4 bytes with bit 4 of every code, 16 bytes with the rest; less 16."""
    return _five_bits(raw, at=2).view(np.int8) - np.int8(16), half(raw, 0)


def iq4_nl(raw: Raw) -> Integers:
    """float16 scale, 16 bytes of codes into `IQ4_NL`."""
    return IQ4_NL[nibbles(raw[:, 2:])], half(raw, 0)


def mxfp4(raw: Raw) -> Integers:
    """A scale of 2^(e - 127) as its exponent e, 16 bytes of codes into `FP4`.

    The values are doubled, so the scale that is returned is half of that.
    """
    scales = np.ldexp(np.float32(1), raw[:, 0].astype(np.int32) - 128)
    return FP4[nibbles(raw[:, 1:])], scales


def q4_1(raw: Raw) -> Floats:
    """float16 scale, float16 minimum, 16 bytes of codes: scale * code + minimum."""
    codes = nibbles(raw[:, 4:]).astype(np.float32)
    return half(raw, 0)[:, np.newaxis] * codes + half(raw, 2)[:, np.newaxis]


def q5_1(raw: Raw) -> Floats:
    """float16 scale, float16 minimum, 4 bytes with bit 4 of every code, 16 bytes with the rest."""
    codes = _five_bits(raw, at=4).astype(np.float32)
    return half(raw, 0)[:, np.newaxis] * codes + half(raw, 2)[:, np.newaxis]


def _five_bits(raw: Raw, *, at: int) -> Raw:
    """Codes 0 to 31 whose upper bits begin at byte `at`, and whose nibbles follow them."""
    upper = np.unpackbits(raw[:, at : at + 4], axis=-1, bitorder="little")
    return nibbles(raw[:, at + 4 :]) | (upper << _HALF)
