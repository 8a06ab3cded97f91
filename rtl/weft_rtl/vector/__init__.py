# SPDX-License-Identifier: Apache-2.0
"""The vector unit: element-wise operations, reductions and quantisation on vector memory words."""
