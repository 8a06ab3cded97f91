# SPDX-License-Identifier: Apache-2.0
"""What surrounds the accelerator on a board: the link to the host, the SDRAM controller."""
