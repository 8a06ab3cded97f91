# SPDX-License-Identifier: Apache-2.0
"""The weights before the first step.

Answering a question takes a chain of attention heads: one that knows the word before ("green
book"), one that brings the noun of the question to the place of the answer, and one that finds the
noun in the story. From random weights such a chain takes tens of millions of tokens to form, since
no part of it helps alone. So the heads start near what they are to become, in the spirit of
Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (2023): in the first layer
head h looks back h + 1 tokens, in the others queries equal keys, so that a token finds its equals.
Values and everything else are random, and training is free to change all of it.
"""

import torch
from transformers import LlamaForCausalLM

EMBEDDING_SPREAD = 0.1
CONSTANT = 0.5  # component 0 of every embedding: what a head without biases can rely on
POSITION_GAIN = 0.55
MATCHING_GAIN = 1.5


def initialise(model: LlamaForCausalLM) -> None:
    """Draws the weights afresh.

    Matrices have a spread of 1/sqrt(inputs), the usual 0.02 is for wide models; those that write to
    the residual stream start at 0, so that every layer first sees the embeddings alone.
    """
    layers = model.model.layers
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0.0, EMBEDDING_SPREAD)
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        for layer in layers:
            for matrix in (each for each in layer.parameters() if each.dim() == 2):
                matrix.normal_(0.0, matrix.shape[1] ** -0.5)
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        _look_back(layers[0].self_attn, model.config)
        for layer in layers[1:]:
            _find_equals(layer.self_attn, model.config)


def _heads(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """The rows of a projection as (heads, width, inputs); a view."""
    return matrix.view(-1, width, matrix.shape[1])


def _look_back(attention: torch.nn.Module, config) -> None:
    """Head h attends to the token h + 1 places before, whatever the tokens are.

    The keys are the constant alone, turned by RoPE to their positions; the queries are the constant
    turned back by h + 1 positions, so that score is a sum of cosines with its peak there.
    """
    half = config.head_dim // 2
    base = config.rope_parameters["rope_theta"]
    frequency = base ** (-torch.arange(half) / half)
    queries = _heads(attention.q_proj.weight, config.head_dim)
    keys = _heads(attention.k_proj.weight, config.head_dim)
    for projection in (queries, keys):
        projection.mul_(0.1)
    keys[:, :half, 0] = POSITION_GAIN
    keys[:, half:, 0] = 0.0
    for head, query in enumerate(queries):
        angle = (head + 1) * frequency
        query[:half, 0] = POSITION_GAIN * torch.cos(angle)
        query[half:, 0] = -POSITION_GAIN * torch.sin(angle)


def _find_equals(attention: torch.nn.Module, config) -> None:
    """Queries equal keys, in the slow half of RoPE's frequencies, and the constant has no part."""
    half = config.head_dim // 2
    queries = _heads(attention.q_proj.weight, config.head_dim)
    keys = _heads(attention.k_proj.weight, config.head_dim)
    keys.mul_(MATCHING_GAIN)
    keys[:, :, 0] = 0.0
    for start in (0, half):
        keys[:, start : start + half // 2] *= 0.2
    queries.copy_(keys.repeat_interleave(len(queries) // len(keys), dim=0))
