# SPDX-License-Identifier: Apache-2.0
"""The models that the project trains and ships, with the recipes that make them."""
