# SPDX-License-Identifier: Apache-2.0
"""What is written from the contract: pages of the documentation and the firmware's header."""
