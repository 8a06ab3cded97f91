# SPDX-License-Identifier: Apache-2.0
"""Profiles of runs on the RTL, from recorded events."""

from weft.profile.record import Chunk, record
from weft.profile.timeline import Run, Slice, Wait, decode

__all__ = ["Chunk", "Run", "Slice", "Wait", "decode", "record"]
