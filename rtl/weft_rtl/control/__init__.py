# SPDX-License-Identifier: Apache-2.0
"""Control: instruction fetch, sequencer, engine front ends, dependency tokens and registers."""
