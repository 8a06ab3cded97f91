# SPDX-License-Identifier: Apache-2.0
"""The command line. One module per command; `main` only dispatches."""

from weft.cli.app import main

__all__ = ["main"]
