# SPDX-License-Identifier: Apache-2.0
"""The systolic array, its weights, its accumulators and what feeds them."""
