# SPDX-License-Identifier: Apache-2.0
"""From a component to a bitstream with open tools: synthesis, place and route, report, picture."""
