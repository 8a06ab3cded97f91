# SPDX-License-Identifier: Apache-2.0
"""What the sixteen 4-bit codes of a weight may stand for: int8 values that the device looks up.

A block's scale multiplies them, so only their ratios matter; each table is stretched to int8 as far
as its values stay whole or nearly so.

Sources: E2M1 from the OCP Microscaling Formats specification 1.0, table 5.3.2; NF4 from Dettmers et
al., QLoRA, appendix E; IQ4_NL from ggml-common.h of https://github.com/ggml-org/llama.cpp.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["FP4", "INT4", "IQ4_NL", "NF4", "Codebook"]

Codebook = npt.NDArray[np.int8]
"""int8 [16]: the value of each code."""


def _table(*values: float) -> Codebook:
    table = np.rint(values).astype(np.int8)
    table.setflags(write=False)
    return table


INT4: Codebook = _table(*range(-8, 8))
"""Whole numbers, as in Q4_0: code - 8."""

FP4: Codebook = _table(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
"""E2M1, one sign, two exponent and one mantissa bit, as in MXFP4: twice its values, in the order of
its bits."""

_NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)  # fmt: skip
NF4: Codebook = _table(*(127 * value for value in _NF4))
"""Quantiles of the normal distribution, to the nearest of 127 steps."""

IQ4_NL: Codebook = _table(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The table of llama.cpp's IQ4_NL. It has no zero: the nearest is 1."""
