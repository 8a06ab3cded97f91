# SPDX-License-Identifier: Apache-2.0
"""Settings of all tests."""

from hypothesis import settings

# Machines differ in speed, so an example has no deadline; a failing example is printed as code to
# reproduce it, and nothing is left in the working folder.
settings.register_profile("weft", deadline=None, database=None, print_blob=True)
settings.load_profile("weft")
