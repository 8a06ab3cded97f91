# SPDX-License-Identifier: Apache-2.0
"""Boards: what each one has, and the top module that goes on it."""
