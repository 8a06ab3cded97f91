# SPDX-License-Identifier: Apache-2.0
"""Profiles of runs on the RTL, from recorded events."""

from weft.profile.record import record
from weft.profile.timeline import Run, Slice, Wait, decode

__all__ = ["Run", "Slice", "Wait", "decode", "record"]
