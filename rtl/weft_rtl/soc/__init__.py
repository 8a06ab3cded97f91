# SPDX-License-Identifier: Apache-2.0
"""What stands around the accelerator on a board: the link to the host."""
