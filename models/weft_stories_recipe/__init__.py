# SPDX-License-Identifier: Apache-2.0
"""Recipe of the weft-stories model: a simulated world, its telling, and the training."""
