# SPDX-License-Identifier: Apache-2.0
"""Executors of weft programs: the NumPy reference, the Verilated device, and bench helpers."""
