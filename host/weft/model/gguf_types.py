# SPDX-License-Identifier: Apache-2.0
"""The tensor types of GGUF that weft reads, and what each can become without a loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weft.model import gguf_blocks as blocks
from weft.model import gguf_k_blocks as k_blocks
from weft.model.gguf_blocks import Floats, Integers, Raw

__all__ = ["OTHER_TYPES", "TENSOR_TYPES", "TensorType"]


@dataclass(frozen=True, kw_only=True)
class TensorType:
    """One type: `block` values along a row are stored in `block_bytes` bytes.

    `unpack` gives the values of uint8 [blocks, block_bytes] as float32. A type with `integers`
    says what its blocks are as 32 int8 with one scale, exactly. Scales come as float32.
    """

    name: str
    block: int
    block_bytes: int
    unpack: Callable[[Raw], Floats]
    integers: Callable[[Raw], Integers] | None = None


def _floats(name: str, number_bytes: int, unpack: Callable[[Raw], Floats]) -> TensorType:
    return TensorType(name=name, block=1, block_bytes=number_bytes, unpack=unpack)


def _integers(name: str, block_bytes: int, integers: Callable[[Raw], Integers]) -> TensorType:
    def unpack(raw: Raw) -> Floats:
        values, scales = integers(raw)
        return values.astype(np.float32) * scales[:, np.newaxis]

    return TensorType(
        name=name,
        block=32,
        block_bytes=block_bytes,
        unpack=unpack,
        integers=integers,
    )


def _other(name: str, block: int, block_bytes: int, unpack: Callable[[Raw], Floats]) -> TensorType:
    return TensorType(name=name, block=block, block_bytes=block_bytes, unpack=unpack)


TENSOR_TYPES: dict[int, TensorType] = {
    0: _floats("F32", 4, blocks.f32),
    1: _floats("F16", 2, blocks.f16),
    2: _integers("Q4_0", 18, blocks.q4_0),
    3: _other("Q4_1", 32, 20, blocks.q4_1),
    6: _integers("Q5_0", 22, blocks.q5_0),
    7: _other("Q5_1", 32, 24, blocks.q5_1),
    8: _integers("Q8_0", 34, blocks.q8_0),
    12: _other("Q4_K", 256, 144, k_blocks.q4_k),
    13: _other("Q5_K", 256, 176, k_blocks.q5_k),
    14: _other("Q6_K", 256, 210, k_blocks.q6_k),
    20: _integers("IQ4_NL", 18, blocks.iq4_nl),
    30: _floats("BF16", 2, blocks.bf16),
    39: _integers("MXFP4", 17, blocks.mxfp4),
}
"""By the number that stands for the type in a file."""

OTHER_TYPES = {
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    40: "NVFP4",
}
"""Names of the types that weft does not read, so that a refusal can say which it met."""
