# SPDX-License-Identifier: Apache-2.0
"""weft's host side: models, quantisation, compiler, runtime and command line."""
