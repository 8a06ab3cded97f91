# SPDX-License-Identifier: Apache-2.0
"""Memory traffic: the AXI4 manager port and the stream, load and store units."""
