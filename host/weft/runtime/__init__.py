# SPDX-License-Identifier: Apache-2.0
"""Running compiled models on devices."""

from weft.runtime.runner import BatchRow, Counters, ModelRunner, TopK

__all__ = ["BatchRow", "Counters", "ModelRunner", "TopK"]
