# SPDX-License-Identifier: Apache-2.0
"""What the compiler cannot make a program of."""

from weft.model import ModelConfig

__all__ = ["longest_context", "unsupported"]


def unsupported(config: ModelConfig) -> str | None:
    """Why there can be no program for a model, as a sentence, or None where there can be one."""
    name = f"this {config.architecture} model"
    if config.attention_softcap is not None:
        return f"{name} caps attention scores at {config.attention_softcap:g}; the device cannot."
    if config.logit_softcap is not None:
        return f"{name} caps logits at {config.logit_softcap:g}; the device cannot."
    if "lm_head" in config.biases:
        return f"the lm_head of {name} has a bias; the device adds none there."
    if config.token_types and config.positions != "learned":
        return f"{name} has types of tokens, but no learned positions; the device needs both."
    if config.head == "none" and config.positions != "learned":
        return f"{name} is an encoder that rotates; the device takes those with learned positions."
    return None


def longest_context(config: ModelConfig) -> int:
    """Positions that a program can see: all up to a sliding window, in which every layer still
    sees every position."""
    if config.sliding_window is None:
        return config.max_context
    return min(config.max_context, config.sliding_window)
