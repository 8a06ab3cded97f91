# SPDX-License-Identifier: Apache-2.0
"""F24 arithmetic as plain pipelines: a case per cycle, fixed latency, no handshake.

No unit has a reset or an enable: results appear ``LATENCY`` cycles after their operands, and the
user carries validity beside. Operands are canonical F24 patterns (exponent field 1 to 254, or all
24 bits zero), and so are results.
"""
