# SPDX-License-Identifier: Apache-2.0
"""Rotary embedding as a GGUF file describes it: fields of `ModelConfig`.

Factors of single pairs are tensors: `rope_freqs` (Llama 3.1) and `rope_factors_short` (LongRoPE).
"""

from weft.errors import ModelError, shown
from weft.model import rope
from weft.model.checkpoint import FloatTensor
from weft.model.description import GGUFKeys, Settings
from weft.model.gguf_file import GGUFFile
from weft.model.gguf_matrix import read_vector

__all__ = ["ROTARY_TENSORS", "rotation_settings"]

FACTORS = "rope_freqs.weight"
SHORT = "rope_factors_short.weight"
LONG = "rope_factors_long.weight"
ROTARY_TENSORS = (FACTORS, SHORT, LONG)

KINDS = ("none", "linear", "yarn", "longrope")


def rotation_settings(keys: GGUFKeys, sizes: Settings, file: GGUFFile) -> Settings:
    """`rope_theta`, and where heads are turned otherwise `rope_frequencies`, `rope_factor` and
    `max_context`, as in `huggingface_rope`."""
    head_dim, context = sizes["head_dim"], sizes["max_context"]
    theta = _positive(keys, "rope.freq_base", 10000.0)
    rotary_dim = keys.integer("rope.dimension_count", head_dim) or head_dim
    if rotary_dim % 2 or not 2 <= rotary_dim <= head_dim:
        if head_dim % 2 and rotary_dim == head_dim:
            return {"rope_theta": theta}  # refused by ModelConfig
        raise ModelError(
            f"{keys.architecture}.rope.dimension_count is {rotary_dim}, but must be an even number "
            f"of at most {head_dim}."
        )
    kind = keys.metadata.text(f"{keys.architecture}.rope.scaling.type", "linear")
    if kind not in KINDS:
        raise ModelError(
            f"{keys.architecture}.rope.scaling.type is {shown(kind)}, but weft knows "
            f"{', '.join(KINDS)}."
        )
    plain = rope.base_frequencies(theta, rotary_dim)
    frequencies, more = plain, Settings()
    factor = _positive(keys, "rope.scaling.factor", 1.0)
    old = keys.number("rope.scale_linear")
    if old and kind == "linear" and "rope.scaling.factor" not in keys:
        factor = _positive(keys, "rope.scale_linear", 1.0)
    if kind == "linear" and factor != 1:
        frequencies = rope.divided(plain, [factor] * len(plain))
    if kind == "yarn":
        frequencies, more = _yarn(keys, theta, rotary_dim, factor, float(context))
    if SHORT in file.tensors or kind == "longrope":
        original = _positive(keys, "rope.scaling.original_context_length", float(context))
        frequencies = _divided(file, SHORT, frequencies)
        more = {
            "rope_factor": _positive(keys, "rope.scaling.attn_factor", 1.0),
            "max_context": min(context, int(original)),
        }
    if FACTORS in file.tensors:
        frequencies = _divided(file, FACTORS, frequencies)
    if frequencies == plain and rotary_dim == head_dim and not more:
        return {"rope_theta": theta}
    return {"rope_theta": theta, "rope_frequencies": rope.padded(frequencies, head_dim)} | more


def _yarn(
    keys: GGUFKeys, theta: float, rotary_dim: int, factor: float, context: float
) -> tuple[tuple[float, ...], Settings]:
    yarn = rope.Yarn(
        factor=factor,
        context=_positive(keys, "rope.scaling.original_context_length", context),
        fast=_positive(keys, "rope.scaling.yarn_beta_fast", 32.0),
        slow=_positive(keys, "rope.scaling.yarn_beta_slow", 1.0),
    )
    attention = _positive(keys, "rope.scaling.attn_factor", 1.0)
    settings: Settings = {"rope_factor": attention * rope.yarn_factor(factor)}
    return rope.yarn_frequencies(theta, rotary_dim, yarn), settings


def _divided(file: GGUFFile, name: str, frequencies: tuple[float, ...]) -> tuple[float, ...]:
    """The frequencies divided by a tensor's factors."""
    factors: FloatTensor = read_vector(file, name, len(frequencies))
    if not (factors > 0).all():
        index = int((factors <= 0).argmax())
        raise ModelError(
            f"tensor {name} holds {factors[index]:g} at index [{index}], but factors must be "
            f"greater than 0."
        )
    return rope.divided(frequencies, [float(factor) for factor in factors])


def _positive(keys: GGUFKeys, name: str, default: float) -> float:
    value = keys.number(name, default) or default  # 0 stands for absent
    if not value > 0:
        raise ModelError(f"{keys.architecture}.{name} is {value:g}, but must be greater than 0.")
    return value
