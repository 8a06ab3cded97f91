# SPDX-License-Identifier: Apache-2.0
"""Small models made on the fly, and the shared real one where it is at hand."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from weft.errors import WeftError

SHARED = Path(__file__).resolve().parents[3] / "shared"

TINY = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
TINY_TEXTS = ["Tom ran to the park. Lily ran to the farm.", "café naïve über", "“Hi!” 🦊🐰"]


def tiny_tensors(config: dict[str, Any], seed: int = 1) -> dict[str, np.ndarray]:
    """Random float32 weights under Hugging Face's names, for a configuration like `TINY`."""
    rng = np.random.default_rng(seed)
    dim, hidden = config["hidden_size"], config["intermediate_size"]
    q_dim = config["num_attention_heads"] * config["head_dim"]
    kv_dim = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], dim), "model.norm.weight": (dim,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], dim)
    for index in range(config["num_hidden_layers"]):
        layer = {
            "self_attn.q_proj": (q_dim, dim),
            "self_attn.k_proj": (kv_dim, dim),
            "self_attn.v_proj": (kv_dim, dim),
            "self_attn.o_proj": (dim, q_dim),
            "mlp.gate_proj": (hidden, dim),
            "mlp.up_proj": (hidden, dim),
            "mlp.down_proj": (dim, hidden),
            "input_layernorm": (dim,),
            "post_attention_layernorm": (dim,),
        }
        shapes |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return {
        name: rng.normal(1.0 if len(shape) == 1 else 0.0, 0.2, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="session")
def byte_level_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer like those of published models, of at most 320 tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TINY_TEXTS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return tokenizer


@pytest.fixture
def make_folder(tmp_path: Path, byte_level_tokenizer: Tokenizer) -> Callable[..., Path]:
    """Writes a Hugging Face folder: `make_folder(changes_to_config, changes_to_tensors)`.

    A change to None removes the field or tensor.
    """

    def make(config: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None) -> Path:
        folder = tmp_path / "tiny"
        folder.mkdir(exist_ok=True)
        fields = TINY | (config or {})
        arrays = tiny_tensors(TINY | {k: v for k, v in fields.items() if isinstance(v, int)})
        arrays |= tensors or {}
        fields = {name: value for name, value in fields.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(fields))
        save_file(
            {name: array for name, array in arrays.items() if array is not None},
            folder / "model.safetensors",
        )
        byte_level_tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return make


@pytest.fixture(scope="session")
def make_llama2c() -> Callable[..., bytes]:
    """Bytes of a llama2.c checkpoint: `make_llama2c(header_changes, untied=False)`.

    The numbers are 0, 1, 2 ... in the file's order, scaled down.
    """

    def make(header: dict[str, int] | None = None, *, untied: bool = False) -> bytes:
        fields = {
            "dim": 8,
            "hidden_dim": 12,
            "n_layers": 2,
            "n_heads": 2,
            "n_kv_heads": 1,
            "vocab_size": 300,
            "max_context": 16,
        }
        dim, hidden, layers = fields["dim"], fields["hidden_dim"], fields["n_layers"]
        attention = dim * dim * 2 + dim * (dim // 2) * 2
        count = 300 * dim + layers * (2 * dim + attention + 3 * dim * hidden) + dim
        count += 2 * 16 * (dim // 2 // 2)
        if untied:
            fields["vocab_size"] = -300
            count += 300 * dim
        data = np.arange(count, dtype="<f4") / 4096
        return struct.pack("<7i", *(fields | (header or {})).values()) + data.tobytes()

    return make


@pytest.fixture(scope="session")
def llama2c_pieces() -> list[tuple[bytes, float]]:
    """Pieces and scores of a small llama2.c tokenizer of 300 tokens, with ties among scores."""
    pieces = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    pieces += [(f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)]
    merges = [" t", "he", "th", "the", " a", "nd", "an", "and", " the", " b", "ab", "bb", "abb"]
    merges += ["é", "éa", "ba", "aba"]
    pieces += [(text.encode(), -float(rank // 2)) for rank, text in enumerate(merges)]
    single = [" ", "a", "b", "c", "d", "e", "h", "n", "t", "T", ".", "🦊", "\n"]
    pieces += [(text.encode(), -1e9) for text in single]
    pieces += [(b"filler%d" % index, -2e10) for index in range(300 - len(pieces))]
    return pieces


def pack_tokenizer(pieces: list[tuple[bytes, float]]) -> bytes:
    """The bytes of a llama2.c tokenizer file."""
    data = struct.pack("<i", max(len(piece) for piece, _ in pieces))
    for piece, score in pieces:
        data += struct.pack("<fi", score, len(piece)) + piece
    return data


@pytest.fixture(scope="session")
def llama2c_tokenizer_bytes(llama2c_pieces: list[tuple[bytes, float]]) -> bytes:
    """A whole llama2.c tokenizer file."""
    return pack_tokenizer(llama2c_pieces)


@pytest.fixture(scope="session")
def refusal() -> Callable[[Callable[[], object]], str]:
    """Runs an action on hostile input: its `WeftError` sentence, or "" when it went well.

    Any other exception goes on and fails the test.
    """

    def run(action: Callable[[], object]) -> str:
        try:
            action()
        except WeftError as error:
            return str(error)
        return ""

    return run


@pytest.fixture(scope="session")
def stories260k() -> Path:
    """The folder of stories260K, with llama2.c's own greedy outputs."""
    folder = SHARED / "models" / "stories260K"
    if not (folder / "llama2c-greedy.json").is_file():
        pytest.skip("needs ../shared/models/stories260K beside the project")
    return folder
