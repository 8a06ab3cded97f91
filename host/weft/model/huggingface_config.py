# SPDX-License-Identifier: Apache-2.0
"""Turns a Hugging Face `config.json` into a `ModelConfig`, or says why it cannot."""

from collections.abc import Mapping

from weft.errors import ModelError, shown
from weft.files import as_object
from weft.model.config import Activation, ModelConfig

__all__ = ["parse_config"]

ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""Names of `hidden_act` in `transformers`, and the activation each stands for."""


def parse_config(config: Mapping[str, object]) -> ModelConfig:
    """The configuration that a `config.json` of a `LlamaForCausalLM` describes.

    Absent fields take the defaults of `transformers.LlamaConfig`. Raises `ModelError` for a field
    that is missing, of the wrong kind or out of bounds, and for whatever weft does not compute:
    other architectures, scaled or partial rotary embedding, biases, quantised checkpoints.
    """
    _check_supported(config)
    dim = _integer(config, "hidden_size")
    n_heads = _integer(config, "num_attention_heads")
    head_dim = _integer(config, "head_dim", default=0)
    if head_dim == 0:
        if n_heads <= 0 or dim % n_heads:
            raise ModelError(
                f"hidden_size {shown(dim)} is not a multiple of num_attention_heads "
                f"{shown(n_heads)}, and there is no head_dim."
            )
        head_dim = dim // n_heads
    activation = config.get("hidden_act", "silu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ModelError(
            f"hidden_act is {shown(activation)}, but weft computes {', '.join(ACTIVATIONS)}."
        )
    return ModelConfig(
        architecture="llama",
        n_layers=_integer(config, "num_hidden_layers"),
        dim=dim,
        hidden_dim=_integer(config, "intermediate_size"),
        n_heads=n_heads,
        n_kv_heads=_integer(config, "num_key_value_heads", default=n_heads),
        head_dim=head_dim,
        vocab_size=_integer(config, "vocab_size"),
        max_context=_integer(config, "max_position_embeddings", default=2048),
        norm_eps=_number(config, "rms_norm_eps", default=1e-6),
        rope_theta=_rope_theta(config),
        tied_embeddings=_boolean(config, "tie_word_embeddings"),
        activation=ACTIVATIONS[activation],
    )


def _check_supported(config: Mapping[str, object]) -> None:
    architectures = config.get("architectures")
    if architectures is None:
        architectures = ["LlamaForCausalLM"] if config.get("model_type") == "llama" else []
    if architectures != ["LlamaForCausalLM"]:
        raise ModelError(
            f"architectures is {shown(architectures)}, but weft runs only LlamaForCausalLM."
        )
    for name in ("attention_bias", "mlp_bias"):
        if _boolean(config, name):
            raise ModelError(f"{name} is true, but weft runs Llama models without biases only.")
    if config.get("quantization_config") is not None:
        raise ModelError(
            "the checkpoint is quantised (quantization_config is set), but weft quantises float "
            "checkpoints itself."
        )
    factor = config.get("partial_rotary_factor")
    if factor not in (None, 1, 1.0):
        raise ModelError(
            f"partial_rotary_factor is {shown(factor)}, but weft rotates whole heads only."
        )
    for name in ("rope_scaling", "rope_parameters"):
        _check_unscaled(name, config.get(name))


def _check_unscaled(name: str, value: object) -> None:
    """Refuse every kind of rotary scaling; `null` and type `default` are none."""
    if value is None:
        return
    rope = as_object(value)
    if rope is None:
        raise ModelError(f"{name} is {shown(value)}, but must be an object or null.")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ModelError(
            f"{name} asks for rotary scaling of type {shown(kind)}, but weft does not scale."
        )
    if rope.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise ModelError(f"{name} rotates parts of heads, but weft rotates whole heads only.")


def _rope_theta(config: Mapping[str, object]) -> float:
    """`rope_theta`, which newer files keep inside `rope_parameters`."""
    parameters = as_object(config.get("rope_parameters"))
    if parameters and "rope_theta" in parameters:
        return _number(parameters, "rope_theta")
    return _number(config, "rope_theta", default=10000.0)


def _integer(config: Mapping[str, object], name: str, default: int | None = None) -> int:
    value = config.get(name)
    if value is None and default is not None:
        return default
    if name not in config:
        raise ModelError(f"{name} is missing.")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{name} is {shown(value)}, but must be an integer.")
    return value


def _number(config: Mapping[str, object], name: str, default: float | None = None) -> float:
    value = config.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{name} is {shown(value)}, but must be a number.")
    if not abs(value) < 1e300:
        raise ModelError(f"{name} is {shown(value)}, which is no usable number.")
    return float(value)


def _boolean(config: Mapping[str, object], name: str) -> bool:
    value = config.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ModelError(f"{name} is {shown(value)}, but must be true or false.")
    return value
