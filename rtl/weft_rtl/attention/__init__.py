# SPDX-License-Identifier: Apache-2.0
"""Attention: the online softmax, its parts, and the order of passes over the kv blocks."""
