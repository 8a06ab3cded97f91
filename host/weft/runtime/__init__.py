# SPDX-License-Identifier: Apache-2.0
"""Running compiled models on devices."""

from weft.runtime.runner import Counters, ModelRunner, TopK

__all__ = ["Counters", "ModelRunner", "TopK"]
