# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a program image and a memory image.

Level 1 `graph`: operations on named values; checked for kinds and widths.
Level 2 `plan`: where each value, weight and table lives; checked for overlap and room.
Level 3 `emit`: instructions with dependency tokens; checked by `hazards`.
`memory_image` fills the memory. `compile_model` runs all of them.
"""

from weft.compiler.compiled import CompiledModel, compile_model

__all__ = ["CompiledModel", "compile_model"]
