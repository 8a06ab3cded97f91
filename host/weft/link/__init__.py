# SPDX-License-Identifier: Apache-2.0
"""Boards, and whatever else speaks the protocol of `weft_arch.link`, as devices."""

from weft.link.device import LinkDevice
from weft.link.line import LinkError

__all__ = ["LinkDevice", "LinkError"]
