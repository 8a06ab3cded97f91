# SPDX-License-Identifier: Apache-2.0
"""A reference device."""

import pytest

from tests.reference.programs import new_device
from weft_sim.reference import ReferenceDevice


@pytest.fixture
def device() -> ReferenceDevice:
    """A device whose memory is full of noise."""
    return new_device()
