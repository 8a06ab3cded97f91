# SPDX-License-Identifier: Apache-2.0
"""The head of the model: what is taken from the stream of logits."""
