# SPDX-License-Identifier: Apache-2.0
"""The gateware of weft, in Amaranth HDL."""
