# SPDX-License-Identifier: Apache-2.0
"""Writes small adapters for the small model of `conftest`, as PEFT folders and as GGUF files."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

from tests.host.conftest import TINY, tiny_tensors

__all__ = ["ALPHA", "RANK", "changed_tensors", "write_gguf_adapter", "write_peft"]

RANK, ALPHA = 4, 8.0
MODULES = {
    "model.layers.0.self_attn.q_proj": "blk.0.attn_q",
    "model.layers.1.self_attn.k_proj": "blk.1.attn_k",
    "model.layers.1.self_attn.o_proj": "blk.1.attn_output",
    "model.layers.0.mlp.down_proj": "blk.0.ffn_down",
}
CONFIG = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none", "use_dora": False}
TENSORS = tiny_tensors(TINY)


def changes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A and B of each changed module."""
    rng = np.random.default_rng(3)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for module in MODULES:
        outputs, inputs = TENSORS[f"{module}.weight"].shape
        shapes = ((RANK, inputs), (outputs, RANK))
        a, b = (rng.normal(0, 0.2, shape).astype(np.float32) for shape in shapes)
        found[module] = (a, b)
    return found


def changed_tensors(scale: float) -> dict[str, np.ndarray]:
    """The weights of the changed modules, with the change in them."""
    found: dict[str, np.ndarray] = {}
    for module, (a, b) in changes().items():
        product = scale * (b.astype(np.float64) @ a.astype(np.float64))
        found[f"{module}.weight"] = (TENSORS[f"{module}.weight"] + product).astype(np.float32)
    return found


def write_peft(
    folder: Path,
    config: dict[str, Any] | None = None,
    tensors: dict[str, Any] | None = None,
) -> Path:
    """A PEFT folder with changes to its configuration and tensors; None leaves out."""
    folder.mkdir(exist_ok=True)
    fields = {k: v for k, v in (CONFIG | (config or {})).items() if v is not None}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    arrays: dict[str, Any] = {}
    for module, (a, b) in changes().items():
        name = f"base_model.model.{module}.lora_"
        arrays |= {f"{name}A.weight": a, f"{name}B.weight": b}
    arrays |= tensors or {}
    save_file(
        {name: array for name, array in arrays.items() if array is not None},
        folder / "adapter_model.safetensors",
    )
    return folder


def interleaved(b: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's `LlamaModel.permute`, for adapters as for weights."""
    return b.reshape(heads, 2, -1, b.shape[1]).swapaxes(1, 2).reshape(b.shape)


def write_gguf_adapter(path: Path, **fields: Any) -> Path:
    """A GGUF adapter with changes to its fields."""
    values = {"type": "adapter", "kind": "lora", "alpha": ALPHA, "architecture": "llama"} | fields
    writer = gguf.GGUFWriter(path, values["architecture"])
    writer.add_string("general.type", values["type"])
    writer.add_string("adapter.type", values["kind"])
    if values["alpha"] is not None:
        writer.add_float32("adapter.lora.alpha", values["alpha"])
    for module, (a, b) in changes().items():
        heads = {"q_proj": 4, "k_proj": 2}.get(module.rsplit(".", 1)[1])
        writer.add_tensor(f"{MODULES[module]}.weight.lora_a", a)
        order = b if heads is None else interleaved(b, heads)
        writer.add_tensor(f"{MODULES[module]}.weight.lora_b", np.ascontiguousarray(order))
    for name in values.get("more", ()):
        writer.add_tensor(name, np.zeros((4, 48), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
