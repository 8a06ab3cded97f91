# SPDX-License-Identifier: Apache-2.0
"""Generations that a board's firmware runs by itself; see `weft_arch.jobs`."""

from weft.jobs.client import JobClient
from weft.jobs.engine import JobEngine

__all__ = ["JobClient", "JobEngine"]
