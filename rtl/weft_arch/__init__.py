# SPDX-License-Identifier: Apache-2.0
"""The contract of weft: configuration, number formats, instruction set, registers, memory layouts.

Plain Python and NumPy, no hardware elaboration, so that the gateware, the reference model, the
compiler and the documentation all derive from the same description.
"""
