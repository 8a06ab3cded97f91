# SPDX-License-Identifier: Apache-2.0
"""Loads a Hugging Face model folder: `config.json` and `model.safetensors`, whole or in shards.

Rotary order: Hugging Face stores the rows of `q_proj` and `k_proj` so that element `i` of a head
pairs with element `i + head_dim / 2` ("half-split"). weft rotates interleaved pairs `(2i, 2i + 1)`,
so the rows of both matrices are permuted once, here: row `2i` of a head is the file's row `i`, and
row `2i + 1` is the file's row `i + head_dim / 2`. Queries and keys are permuted alike, so their dot
products, and with them the model's outputs, stay what they were.
"""

from pathlib import Path

from weft.errors import FileError, ModelError, shown
from weft.files import as_object, in_file, read_json_object
from weft.model.checkpoint import Checkpoint, FloatTensor, LayerWeights, check_finite
from weft.model.config import ModelConfig
from weft.model.huggingface_config import parse_config
from weft.model.safetensors_file import SafetensorsFile

__all__ = ["load_huggingface", "read_config", "to_interleaved"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

LAYER_NAMES = {
    "wq": "self_attn.q_proj.weight",
    "wk": "self_attn.k_proj.weight",
    "wv": "self_attn.v_proj.weight",
    "wo": "self_attn.o_proj.weight",
    "w_gate": "mlp.gate_proj.weight",
    "w_up": "mlp.up_proj.weight",
    "w_down": "mlp.down_proj.weight",
    "attention_norm": "input_layernorm.weight",
    "ffn_norm": "post_attention_layernorm.weight",
}
MODEL_NAMES = {
    "token_embedding": "model.embed_tokens.weight",
    "final_norm": "model.norm.weight",
    "lm_head": "lm_head.weight",
}
DERIVED_SUFFIX = ".rotary_emb.inv_freq"
"""Old files carry tables that follow from the configuration; they are not read."""


def read_config(folder: Path) -> ModelConfig:
    """The shape of the model in `folder`, from its `config.json` alone."""
    path = folder / "config.json"
    fields = read_json_object(path)
    with in_file(path):
        return parse_config(fields)


def load_huggingface(folder: Path) -> Checkpoint:
    """The model in `folder`; raises `ModelError` or `FileError` naming file and value."""
    config = read_config(folder)
    shards = _open_shards(folder)
    _check_names(config, shards, folder)

    def read(name: str, shape: tuple[int, ...]) -> FloatTensor:
        file = shards.get(name)
        if file is None:
            raise ModelError(f"{folder} holds no tensor {name}.")
        with in_file(file.path):
            if file.shape(name) != shape:
                raise ModelError(
                    f"tensor {name} has shape {shown(list(file.shape(name)))}, but config.json "
                    f"asks for {list(shape)}."
                )
        tensor = file.read(name)
        with in_file(file.path):
            check_finite(name, tensor)
        return tensor

    def read_layer(index: int) -> LayerWeights:
        tensors = {
            field: read(f"model.layers.{index}.{LAYER_NAMES[field]}", shape)
            for field, shape in config.layer_shapes().items()
        }
        tensors["wq"] = to_interleaved(tensors["wq"], config.head_dim)
        tensors["wk"] = to_interleaved(tensors["wk"], config.head_dim)
        return LayerWeights(**tensors)

    shapes = config.model_shapes()
    token_embedding = read(MODEL_NAMES["token_embedding"], shapes["token_embedding"])
    return Checkpoint(
        config=config,
        token_embedding=token_embedding,
        layers=tuple(read_layer(index) for index in range(config.n_layers)),
        final_norm=read(MODEL_NAMES["final_norm"], shapes["final_norm"]),
        lm_head=(
            token_embedding
            if config.tied_embeddings
            else read(MODEL_NAMES["lm_head"], shapes["lm_head"])
        ),
    )


def to_interleaved(matrix: FloatTensor, head_dim: int) -> FloatTensor:
    """Permute rows [heads * head_dim, dim] from half-split to interleaved rotary order."""
    rows, columns = matrix.shape
    halves = matrix.reshape(rows // head_dim, 2, head_dim // 2, columns)
    return halves.transpose(0, 2, 1, 3).reshape(rows, columns)


def _open_shards(folder: Path) -> dict[str, SafetensorsFile]:
    """The file that holds each tensor, by the tensor's name."""
    weights = folder / WEIGHTS
    index = folder / INDEX
    if weights.is_file() or not index.is_file():
        if not weights.exists() and any(folder.glob("*.bin")):
            raise FileError(
                f"{weights} does not exist; weft reads safetensors files, not pickled .bin files."
            )
        file = SafetensorsFile(weights)
        return dict.fromkeys(file.entries, file)
    files: dict[str, SafetensorsFile] = {}
    shards: dict[str, SafetensorsFile] = {}
    field = read_json_object(index).get("weight_map")
    weight_map = as_object(field)
    if not weight_map:
        raise FileError(f"{index}: weight_map is {shown(field)}, which maps no tensor.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise FileError(
                f"{index}: weight_map sends {shown(name)} to {shown(shard)}, "
                f"which is no file name in the folder."
            )
        if shard not in files:
            files[shard] = SafetensorsFile(folder / shard)
        if name not in files[shard].entries:
            raise FileError(f"{index}: tensor {shown(name)} is not in {shown(shard)}.")
        shards[name] = files[shard]
    return shards


def _is_plain(name: str) -> bool:
    """Whether `name` can only mean a file in the same folder."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and len(name) <= 255


def _check_names(config: ModelConfig, shards: dict[str, SafetensorsFile], folder: Path) -> None:
    """Refuse tensors that a Llama model of this configuration has no place for.

    A bias or an additional layer that were silently left out would give wrong outputs.
    """
    known = set(MODEL_NAMES.values())
    for index in range(config.n_layers):
        known.update(f"model.layers.{index}.{name}" for name in LAYER_NAMES.values())
    for name in shards:
        if name not in known and not name.endswith(DERIVED_SUFFIX):
            raise ModelError(
                f"{folder} holds tensor {shown(name)}, which a LlamaForCausalLM of "
                f"{config.n_layers} layers does not have."
            )
