# SPDX-License-Identifier: Apache-2.0
"""On-chip memories that several blocks share."""
