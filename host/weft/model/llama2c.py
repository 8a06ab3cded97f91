# SPDX-License-Identifier: Apache-2.0
"""Loads llama2.c checkpoints, the `.bin` files of version 0.

The file is a header of seven little-endian int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads,
vocab_size, max_context; a negative vocab_size means that the head is not tied to the embedding)
and then float32 arrays, each for all layers at once, in the order of `_arrays`. Rotary pairs are
interleaved already. The format fixes norm_eps 1e-5, rope_theta 10000 and the SiLU activation.

Source: `checkpoint_init_weights` and `read_checkpoint` of run.c in
https://github.com/karpathy/llama2.c.
"""

import math
import struct
from pathlib import Path
from typing import cast

import numpy as np

from weft.errors import FileError, ModelError
from weft.files import file_size_bytes, in_file
from weft.model.checkpoint import Checkpoint, FloatTensor, LayerWeights, check_finite
from weft.model.config import ModelConfig

__all__ = ["load_llama2c"]

HEADER = struct.Struct("<7i")
MAGIC = 0x616B3432  # "ak42" begins every later version of the format


def load_llama2c(path: Path) -> Checkpoint:
    """The model in a version-0 file; raises `FileError` or `ModelError` naming file and value.

    Nothing is allocated before the file's length is found to be what its header asks for.
    """
    size_bytes = file_size_bytes(path)
    with in_file(path):
        config = _read_header(path, size_bytes)
        arrays = _arrays(config)
        expected = HEADER.size + 4 * sum(math.prod(shape) for _, shape in arrays)
        if size_bytes != expected:
            problem = "cut off" if size_bytes < expected else "too long"
            raise FileError(
                f"{problem} at {size_bytes} bytes, where a header of dim {config.dim}, hidden_dim "
                f"{config.hidden_dim}, n_layers {config.n_layers}, vocab_size "
                f"{config.vocab_size} and so on asks for {expected}."
            )
        try:
            data = np.fromfile(path, "<f4", offset=HEADER.size)
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror}).") from error
        if HEADER.size + data.nbytes != expected:
            raise FileError("changed while it was read.")
        return _checkpoint(config, _split(data.astype(np.float32, copy=False), arrays))


def _read_header(path: Path, size_bytes: int) -> ModelConfig:
    if size_bytes < HEADER.size:
        raise FileError(f"cut off after {size_bytes} bytes, inside a header of {HEADER.size}.")
    try:
        with path.open("rb") as file:
            header = cast(tuple[int, ...], HEADER.unpack(file.read(HEADER.size)))
    except (OSError, struct.error) as error:
        raise FileError(f"cannot be read ({error}).") from error
    dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_context = header
    if dim == MAGIC:
        raise FileError(
            f"a llama2.c file of version {hidden_dim}, but weft reads only version 0 (export with "
            f"--version 0)."
        )
    if n_heads <= 0 or dim % n_heads:
        raise ModelError(f"n_heads is {n_heads}, which does not divide dim {dim}.")
    return ModelConfig(
        architecture="llama",
        dim=dim,
        hidden_dim=hidden_dim,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=dim // n_heads,
        vocab_size=abs(vocab_size),
        max_context=max_context,
        norm_eps=1e-5,
        rope_theta=10000.0,
        tied_embeddings=vocab_size > 0,
        activation="silu",
    )


def _arrays(config: ModelConfig) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of every array, in the file's order.

    `freq_cis_*` are tables of rotary cosines and sines that old programs read; they follow from
    the configuration and are skipped.
    """
    layer = {name: (config.n_layers, *shape) for name, shape in config.layer_shapes().items()}
    model = config.model_shapes()
    order = ["attention_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w_gate", "w_down", "w_up"]
    rotary = (config.max_context, config.head_dim // 2)
    arrays = [("token_embedding", model["token_embedding"])]
    arrays += [(name, layer[name]) for name in order]
    arrays += [("final_norm", model["final_norm"])]
    arrays += [("freq_cis_real", rotary), ("freq_cis_imag", rotary)]
    if not config.tied_embeddings:
        arrays.append(("lm_head", model["lm_head"]))
    return arrays


def _split(data: FloatTensor, arrays: list[tuple[str, tuple[int, ...]]]) -> dict[str, FloatTensor]:
    """Cut the file's numbers into its arrays; weights that are not finite are refused."""
    tensors: dict[str, FloatTensor] = {}
    begin = 0
    for name, shape in arrays:
        end = begin + math.prod(shape)
        tensors[name] = data[begin:end].reshape(shape)
        begin = end
        if not name.startswith("freq_cis"):
            check_finite(name, tensors[name])
    return tensors


def _checkpoint(config: ModelConfig, tensors: dict[str, FloatTensor]) -> Checkpoint:
    layers = tuple(
        LayerWeights(**{name: tensors[name][index] for name in config.layer_shapes()})
        for index in range(config.n_layers)
    )
    token_embedding = tensors["token_embedding"]
    return Checkpoint(
        config=config,
        layers=layers,
        token_embedding=token_embedding,
        final_norm=tensors["final_norm"],
        lm_head=token_embedding if config.tied_embeddings else tensors["lm_head"],
    )
