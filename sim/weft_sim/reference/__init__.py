# SPDX-License-Identifier: Apache-2.0
"""The reference: a NumPy machine that executes the program image bit for bit as the RTL does."""

from weft_sim.reference.device import ReferenceDevice

__all__ = ["ReferenceDevice"]
