# SPDX-License-Identifier: Apache-2.0
"""Which layers of a model have a sliding window."""

from collections.abc import Callable

from weft.errors import ModelError, shown
from weft.model.description import Settings
from weft.model.fields import Fields

__all__ = ["layer_types", "window"]

KINDS = {"sliding_attention": True, "full_attention": False}


def layer_types(fields: Fields, n_layers: int, slides: Callable[[int], bool]) -> tuple[bool, ...]:
    """Whether each layer has a window: `layer_types` where it is given, else by `slides`."""
    if "layer_types" not in fields:
        return tuple(slides(layer) for layer in range(n_layers))
    kinds = fields.items("layer_types")
    for index, kind in enumerate(kinds):
        if not isinstance(kind, str) or kind not in KINDS:
            raise ModelError(
                f"layer_types[{index}] is {shown(kind)}, but weft knows {', '.join(KINDS)}."
            )
    if len(kinds) != n_layers:
        raise ModelError(
            f"layer_types names {len(kinds)} layers, but num_hidden_layers is {n_layers}."
        )
    return tuple(KINDS[str(kind)] for kind in kinds)


def window(size: int | None, layers: tuple[bool, ...] | None, max_context: int) -> Settings:
    """The fields of `ModelConfig`; none where every layer attends to all there is."""
    if size is None or size >= max_context or (layers is not None and not any(layers)):
        return {}
    every = layers is None or all(layers)
    return {"sliding_window": size, "sliding_layers": None if every else layers}
