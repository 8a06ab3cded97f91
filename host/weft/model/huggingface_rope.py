# SPDX-License-Identifier: Apache-2.0
"""Rotary embedding as a `config.json` describes it: fields of `ModelConfig`.

Older files have `rope_theta` and `rope_scaling`, newer ones both in `rope_parameters`; models with
two kinds of layers have there an object for each kind.
"""

from collections.abc import Mapping

from weft.errors import ModelError, shown
from weft.files import as_object
from weft.model import rope
from weft.model.description import Settings
from weft.model.fields import Fields

__all__ = ["rotation_settings", "scaled_frequencies"]

KINDS = ("default", "linear", "dynamic", "llama3", "yarn", "longrope")
UNSCALED = ("default", "dynamic")
"""`dynamic` changes nothing within `max_position_embeddings`, beyond which weft does not go."""


def rotation_settings(
    fields: Fields, *, head_dim: int, context: int, theta: float = 10000.0, layers: str = ""
) -> Settings:
    """`rope_theta`, and where heads are turned otherwise `rope_frequencies`, `rope_factor` and
    `max_context`.

    `theta` is the model's default; `layers` names the kind of layers where there are several.
    LongRoPE has factors for texts within the original context and for longer ones. weft takes the
    former and ends there, so that a token's result does not depend on the text's length.
    """
    parameters = _parameters(fields, layers)
    theta = parameters.positive("rope_theta", theta)
    part = parameters.positive("partial_rotary_factor", 1.0)
    if part > 1:
        raise ModelError(f"partial_rotary_factor is {part:g}, but must be at most 1.")
    if head_dim % 2:
        raise ModelError(f"head_dim is {head_dim}, but rotary embedding needs an even number.")
    rotary_dim = int(head_dim * part)
    if rotary_dim % 2 or rotary_dim == 0:
        raise ModelError(
            f"partial_rotary_factor {part:g} rotates {rotary_dim} of {head_dim} channels of a "
            f"head, but they must be pairs."
        )
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    kind = "longrope" if kind == "su" else kind
    if kind not in KINDS:
        raise ModelError(
            f"rotary scaling is of type {shown(kind)}, but weft knows {', '.join(KINDS)}."
        )
    if kind in UNSCALED and rotary_dim == head_dim:
        return {"rope_theta": theta}
    frequencies, more = scaled_frequencies(kind, parameters, theta, rotary_dim, context)
    return {"rope_theta": theta, "rope_frequencies": rope.padded(frequencies, head_dim)} | more


def scaled_frequencies(
    kind: str, parameters: Fields, theta: float, rotary_dim: int, context: int
) -> tuple[tuple[float, ...], Settings]:
    """The frequencies of the pairs that are rotated, and other fields of `ModelConfig`."""
    plain = rope.base_frequencies(theta, rotary_dim)
    if kind in UNSCALED:
        return plain, {}
    original = parameters.positive("original_max_position_embeddings", float(context))
    if kind == "longrope":
        short = parameters.positives("short_factor", len(plain))
        factor = parameters.positive("factor", max(context, 1) / original)
        attention = parameters.positive("attention_factor", rope.longrope_factor(factor, original))
        within = min(context, int(original))
        return rope.divided(plain, short), {"rope_factor": attention, "max_context": within}
    if kind == "yarn":
        factor = parameters.positive("factor", max(context, 1) / original)
        yarn = rope.Yarn(
            factor=factor,
            context=original,
            fast=parameters.positive("beta_fast", 32.0),
            slow=parameters.positive("beta_slow", 1.0),
            truncate=parameters.boolean("truncate", True),
        )
        frequencies = rope.yarn_frequencies(theta, rotary_dim, yarn)
        return frequencies, {"rope_factor": _yarn_factor(parameters, factor)}
    factor = parameters.positive("factor")
    if kind == "linear":
        return rope.divided(plain, [factor] * len(plain)), {}
    frequencies = rope.llama3_frequencies(
        plain,
        factor=factor,
        low=parameters.positive("low_freq_factor"),
        high=parameters.positive("high_freq_factor"),
        context=original,
    )
    return frequencies, {}


def _yarn_factor(parameters: Fields, factor: float) -> float:
    if "attention_factor" in parameters:
        return parameters.positive("attention_factor")
    if parameters.number("mscale", 0.0) and parameters.number("mscale_all_dim", 0.0):
        above, below = parameters.positive("mscale"), parameters.positive("mscale_all_dim")
        return rope.yarn_factor(factor, above) / rope.yarn_factor(factor, below)
    return rope.yarn_factor(factor)


def _parameters(fields: Fields, layers: str) -> Fields:
    """All that a file says about the rotation of a kind of layers, in one object."""
    found: dict[str, object] = {
        name: fields.raw(name)
        for name in ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")
        if name in fields
    }
    for name in ("rope_scaling", "rope_parameters"):
        values = as_object(fields.raw(name))
        if values is None:
            fields.inner(name)  # absent, or refused
            continue
        found |= _present(values.get(layers, values) if layers else values, f"{name}.{layers}")
    return Fields(found)


def _present(value: object, name: str) -> Mapping[str, object]:
    values = as_object(value)
    if values is None:
        raise ModelError(f"{name} is {shown(value)}, but must be an object.")
    return {key: item for key, item in values.items() if item is not None}
