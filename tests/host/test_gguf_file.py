# SPDX-License-Identifier: Apache-2.0
"""The container: what the package wrote is read, and whatever is damaged gets a sentence."""

import struct
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.host.gguf_files import write_gguf
from weft.errors import FileError, ModelError
from weft.model import LoadedModel, load_model
from weft.model.checkpoint import as_floats, as_quantized
from weft.model.gguf import load_gguf
from weft.model.gguf_file import GGUFFile, is_gguf
from weft.quantize import WeightFormat

LARGEST = (1 << 64) - 1


def string(text: bytes | str, length: int | None = None) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def key(name: bytes | str, kind: int, value: bytes) -> bytes:
    return string(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def tensor(
    name: bytes | str = "w", shape: Sequence[int] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return string(name) + dims + struct.pack("<IQ", kind, offset)


def raw_file(
    keys: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    n_tensors: int | None = None,
    n_keys: int | None = None,
) -> bytes:
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


@pytest.fixture(scope="module")
def stories() -> LoadedModel:
    return load_model("weft-stories")


def test_reads_what_the_package_wrote(stories: LoadedModel, tmp_path: Path):
    metadata = {"weft.list": [1, 2, 3], "weft.words": ["a", "", "é"], "general.name": "Tales"}
    path = write_gguf(tmp_path / "m.gguf", stories, lambda n, a: Type.Q8_0, metadata=metadata)
    file = GGUFFile(path)
    assert file.metadata.text("general.name") == "Tales"
    assert file.metadata.numbers("weft.list").tolist() == [1, 2, 3]
    assert file.metadata.strings("weft.words") == [b"a", b"", "é".encode()]
    assert file.metadata.number("llama.attention.layer_norm_rms_epsilon") == 1e-05
    assert file.metadata.boolean("tokenizer.ggml.add_bos_token") is True
    assert file.metadata.integer("none") is None
    assert file.tensors["token_embd.weight"].shape == (768, 128)
    assert is_gguf(path)
    assert not is_gguf(tmp_path / "none")


KEY = "a.b"
HOSTILE: list[tuple[bytes, str]] = [
    (b"", r"cut off after 0 bytes, inside a header of 24\."),
    (b"GGUF" + bytes(19), r"cut off after 23 bytes"),
    (raw_file(magic=b"GGML"), r"no GGUF file, it begins with b'GGML'\."),
    (raw_file(version=1), r"GGUF version 1, but weft reads versions 2 and 3\."),
    (raw_file(version=0x03000000), r"version 0x3000000 is big-endian"),
    (raw_file(n_keys=LARGEST), r"18446744073709551615 metadata keys, but at most 65536"),
    (raw_file(n_tensors=LARGEST), r"18446744073709551615 tensors, but at most 65536"),
    (raw_file(n_keys=5), r"the type of '' takes 4 bytes|the length of metadata key 0"),
    (raw_file([string("k", LARGEST)]), r"metadata key 0 takes 18446744073709551615 bytes from"),
    (raw_file([key(b"k" * 70000, 7, b"\1")]), r"metadata key 0 is 70000 bytes long"),
    (raw_file([key(b"\xff", 7, b"\1")]), r"metadata key 0 is b'\\xff', which is not UTF-8"),
    (raw_file([key(KEY, 7, b"\1")] * 2), r"metadata key 'a\.b' is there twice"),
    (raw_file([key(KEY, 99, b"")]), r"'a\.b' has a value of type 99, which is no type"),
    (raw_file([key(KEY, 7, b"\2")]), r"'a\.b' is a boolean of 2, but must be 0 or 1"),
    (raw_file([key(KEY, 8, string("", LARGEST))]), r"'a\.b' takes 18446744073709551615 bytes"),
    (raw_file([key(KEY, 9, array(4, LARGEST))]), r"'a\.b' takes 73786976294838206460 bytes"),
    (raw_file([key(KEY, 9, array(8, LARGEST))]), r"18446744073709551615 strings, but there is"),
    (raw_file([key(KEY, 9, array(8, 1, string("", LARGEST)))]), r"'a\.b' takes 1844674407370"),
    (
        raw_file([key(KEY, 9, array(8, 3, string("", LARGEST - 8) + bytes(16)))]),
        r"string 1 of 'a\.b' begins at byte 18446744073709551\d*, behind the end",
    ),
    (raw_file([key(KEY, 9, array(9, 1))]), r"'a\.b' is an array of arrays"),
    (raw_file([key(KEY, 9, array(77, 1))]), r"'a\.b' has items of type 77, which is no type"),
    (
        raw_file([key(KEY, 9, array(8, 1 << 22, bytes(8 << 22)))]),
        r"'a\.b' holds 4194304 strings, but weft reads at most 2097152",
    ),
    (
        raw_file([key("general.alignment", 4, struct.pack("<I", 48))]),
        r"general\.alignment is 48, but must be a power of two",
    ),
    (raw_file([key("general.alignment", 4, bytes(4))]), r"general\.alignment is 0, but must"),
    (raw_file([key("general.alignment", 8, string("x"))]), r"alignment is 'x', but must be an"),
    (raw_file(tensors=[tensor("n" * 65)]), r"the name of tensor 0 is 65 bytes long"),
    (raw_file(tensors=[tensor()] * 2, data=bytes(256)), r"tensor 'w' is there twice"),
    (raw_file(tensors=[tensor(shape=())]), r"tensor 'w' has 0 dimensions"),
    (raw_file(tensors=[tensor(shape=[1] * 5)]), r"tensor 'w' has 5 dimensions, but must have 1"),
    (raw_file(tensors=[tensor(shape=[0, 3])]), r"'w' has shape \[3, 0\], which is empty"),
    (raw_file(tensors=[tensor(shape=[33], kind=8)]), r"rows of 33 values, but type Q8_0 stores 32"),
    (raw_file(tensors=[tensor(kind=10)]), r"tensor 'w' is of type Q2_K, but weft reads F32, F16,"),
    (raw_file(tensors=[tensor(kind=1000)]), r"tensor 'w' is of type of number 1000, but weft"),
    (raw_file(tensors=[tensor(offset=8)], data=bytes(256)), r"begin at 8, which is no multiple"),
    (
        raw_file(tensors=[tensor()], data=bytes(127)),
        r"lies at bytes 64 to 192, but the file ends at 191",
    ),
    (raw_file(tensors=[tensor(offset=LARGEST - 31)]), r"'w' .* lies at bytes 18446744073709551"),
    (raw_file(tensors=[tensor(shape=[LARGEST] * 4)]), r"'w' of type F32 and shape .* lies at"),
    (raw_file(tensors=[tensor(shape=[1 << 32, 1 << 32])]), r"'w' of type F32 and shape .* lies at"),
    (
        raw_file(tensors=[tensor("a"), tensor("b", offset=96)], data=bytes(256)),
        r"tensors 'a' and 'b' overlap at byte \d+",
    ),
]


@pytest.mark.parametrize("case", range(len(HOSTILE)), ids=lambda n: HOSTILE[n][1][:40])
def test_a_damaged_container_gets_a_sentence(tmp_path: Path, case: int):
    raw, sentence = HOSTILE[case]
    path = tmp_path / "m.gguf"
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=rf"m\.gguf: .*(?:{sentence})") as error:
            GGUFFile(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_a_file_that_is_none(tmp_path: Path):
    with pytest.raises(FileError, match=r"none\.gguf does not exist\.$"):
        GGUFFile(tmp_path / "none.gguf")
    with pytest.raises(FileError, match=r"is a folder, not a file\.$"):
        GGUFFile(tmp_path)


CHANGES: list[tuple[dict[str, Any], str]] = [
    (
        {"general.architecture": "mamba"},
        r"general\.architecture is 'mamba', but weft runs llama, qwen2, .* from GGUF files\.",
    ),
    ({"general.type": "adapter"}, r"general\.type is 'adapter', but weft runs whole models\."),
    ({"split.count": 3}, r"split\.count is 3, but weft reads models in one file"),
    ({"llama.block_count": None}, r"metadata key llama\.block_count is missing\."),
    ({"llama.block_count": "4"}, r"llama\.block_count is '4', but must be an integer\."),
    ({"llama.block_count": 5}, r"the file holds no tensor blk\.4\.attn_q\.weight\."),
    (
        {"llama.block_count": 3},
        r"holds tensor 'blk\.3\.attn_q\.weight', which this llama model of 3",
    ),
    ({"llama.block_count": 1 << 30}, r"n_layers is 1073741824, but must be between 1 and 1024\."),
    ({"llama.embedding_length": 96}, r"'?token_embd\.weight'? has shape \[768, 128\], but the"),
    ({"llama.attention.head_count": 0}, r"n_heads is 0, but must be between 1"),
    ({"llama.attention.head_count_kv": [2, 2, 2, 1]}, r"an array of 4 items, but must be one int"),
    ({"llama.attention.head_count_kv": 3}, r"n_heads is 4, which is not a multiple of n_kv_heads"),
    ({"llama.attention.value_length": 64}, r"value_length is 64, but weft runs heads that are 32"),
    ({"llama.rope.dimension_count": 34}, r"rope\.dimension_count is 34, but must be an even num"),
    ({"llama.rope.dimension_count": 15}, r"rope\.dimension_count is 15, but must be an even num"),
    ({"llama.attention.sliding_window": "64"}, r"sliding_window is '64', but must be an integer"),
    ({"llama.expert_count": 8}, r"llama\.expert_count is 8, but weft runs models where it is 0\."),
    ({"llama.attention.causal": False}, r"causal is false, but weft runs causal ones"),
    ({"llama.logit_scale": 2.0}, r"logit_scale is 2\.0, but weft runs models where it is 0 or 1"),
    ({"llama.attention.scale": -0.5}, r"query_scale is -0\.5, but must be greater than 0"),
    (
        {"llama.attn_logit_softcapping": 50.0},
        r"softcapping is 50\.0, but weft runs models where it",
    ),
    ({"llama.rope.scaling.type": "ntk"}, r"rope\.scaling\.type is 'ntk', but weft knows none, lin"),
    ({"llama.rope.scaling.type": "longrope"}, r"the file holds no tensor rope_factors_short\.wei"),
    ({"llama.rope.scaling.factor": -8.0}, r"rope\.scaling\.factor is -8, but must be greater than"),
    ({"llama.rope.freq_base": float("nan")}, r"rope\.freq_base is nan, which is no usable number"),
    ({"llama.attention.layer_norm_rms_epsilon": None}, r"layer_norm_rms_epsilon is missing\."),
    ({"llama.context_length": True}, r"llama\.context_length is True, but must be an integer\."),
]


@pytest.mark.parametrize("case", range(len(CHANGES)), ids=lambda n: next(iter(CHANGES[n][0])))
def test_a_model_that_weft_does_not_run_gets_a_sentence(
    stories: LoadedModel, tmp_path: Path, case: int
):
    metadata, sentence = CHANGES[case]
    path = write_gguf(tmp_path / "m.gguf", stories, lambda n, a: Type.F16, metadata=metadata)
    with pytest.raises(ModelError, match=rf"m\.gguf: .*{sentence}"):
        load_model(path)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"output_norm.weight": None}, r"the file holds no tensor output_norm\.weight\."),
        ({"token_embd.weight": None}, r"the file holds no tensor token_embd\.weight\."),
        ({"blk.0.attn_q.bias": np.ones(128, np.float32)}, r"no tensor blk\.1\.attn_q\.bias\."),
        ({"blk.1.attn_q.bias": np.ones(128, np.float32)}, r"holds tensor 'blk\.1\.attn_q\.bias'"),
        ({"output_norm.weight": np.ones(64, np.float32)}, r"has shape \[64\], but the metadata as"),
        (
            {"rope_freqs.weight": np.linspace(1, 0, 16, dtype=np.float32)},
            r"rope_freqs\.weight holds 0 at index \[15\], but factors must be greater than 0\.",
        ),
        (
            {"blk.1.ffn_norm.weight": np.full(128, np.nan, np.float32)},
            r"tensor blk\.1\.ffn_norm\.weight holds nan at index \[0, 0\]\.",
        ),
    ],
)
def test_tensors_that_do_not_fit_get_a_sentence(
    stories: LoadedModel, tmp_path: Path, tensors: dict[str, Any], sentence: str
):
    path = write_gguf(tmp_path / "m.gguf", stories, lambda n, a: Type.F16, tensors=tensors)
    with pytest.raises(ModelError, match=rf"m\.gguf: .*{sentence}"):
        load_model(path)


def test_values_that_change_nothing_are_accepted(stories: LoadedModel, tmp_path: Path):
    metadata = {
        "llama.expert_count": 0,
        "llama.rope.scaling.type": "none",
        "llama.attention.sliding_window": 4096,
        "llama.attention.scale": 32**-0.5,
        "llama.attention.head_count_kv": [2, 2, 2, 2],
        "general.type": "model",
    }
    tensors = {"rope_freqs.weight": np.ones(16, np.float32)}
    path = write_gguf(
        tmp_path / "m.gguf", stories, lambda n, a: Type.F16, metadata=metadata, tensors=tensors
    )
    assert load_model(path).checkpoint.config == stories.checkpoint.config


def test_no_other_tokenizer_can_be_given(stories: LoadedModel, tmp_path: Path):
    path = write_gguf(tmp_path / "m.gguf", stories, lambda n, a: Type.F16)
    with pytest.raises(Exception, match=r"m\.gguf carries its own tokenizer"):
        load_model(path, tokenizer="tok.bin")


@pytest.fixture(scope="module")
def mutable(stories: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """A whole file with a matrix of every kind of block, and where its tensors' data begins."""
    kinds = [Type.Q8_0, Type.Q4_0, Type.Q5_1, Type.IQ4_NL, Type.MXFP4, Type.BF16, Type.F16]

    def types(name: str, array: np.ndarray) -> Type:
        return Type.Q6_K if "ffn_down" in name else kinds[sum(name.encode()) % len(kinds)]

    path = write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", stories, types)
    start = min(entry.offset_bytes for entry in GGUFFile(path).tensors.values())
    return path.read_bytes(), start


VALUES = st.sampled_from([0, 1, 2, 7, 8, 9, 31, 32, 127, 128, 255])
WIDE = st.sampled_from([0, 1, 31, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, LARGEST - 31, LARGEST])


def mutate(raw: bytes, start: int, data: st.DataObject) -> bytes:
    """A few bytes or 8-byte integers changed, mostly in front of the data; perhaps cut off."""
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        last = start if data.draw(st.integers(0, 4)) else len(raw)
        place = data.draw(st.integers(0, last - 9))
        if data.draw(st.booleans()):
            changed[place] = data.draw(VALUES | st.integers(0, 255))
        else:
            changed[place : place + 8] = struct.pack("<Q", data.draw(WIDE))
    if not data.draw(st.integers(0, 3)):
        del changed[data.draw(st.integers(0, len(changed))) :]
    return bytes(changed)


def use(path: Path) -> None:
    """All that a file goes through before it runs."""
    loaded = load_model(path)
    loaded.tokenizer.decode(loaded.tokenizer.encode("One day, Tom")[:8])
    for layer in loaded.checkpoint.layers:
        as_quantized(layer.w_down, WeightFormat.W8)
        as_quantized(layer.wk, WeightFormat.W4)
    as_floats(loaded.checkpoint.token_embedding)


def check_any_change(
    mutable: tuple[bytes, int], path: Path, refusal: Callable[..., str], n_examples: int
) -> None:
    """Each file is read, or refused in one line."""

    @settings(
        max_examples=n_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        path.write_bytes(mutate(*mutable, data))
        sentence = refusal(lambda: use(path))
        assert "\n" not in sentence
        assert not sentence or sentence.startswith(str(path))

    check()


def test_any_change_is_read_or_refused(
    mutable: tuple[bytes, int], tmp_path: Path, refusal: Callable[..., str]
):
    check_any_change(mutable, tmp_path / "m.gguf", refusal, 300)


def test_any_change_of_a_sentencepiece_file_is_read_or_refused(
    stories260k: Path, tmp_path: Path, refusal: Callable[..., str]
):
    original = load_model(stories260k / "stories260K.bin")
    path = write_gguf(tmp_path / "s.gguf", original, lambda name, array: Type.F16)
    start = min(entry.offset_bytes for entry in GGUFFile(path).tensors.values())
    check_any_change((path.read_bytes(), start), tmp_path / "m.gguf", refusal, 300)


@pytest.mark.slow
def test_twenty_thousand_changes_are_read_or_refused(
    mutable: tuple[bytes, int], tmp_path: Path, refusal: Callable[..., str]
):
    check_any_change(mutable, tmp_path / "m.gguf", refusal, 20_000)


def test_matrices_of_the_mutable_file_are_of_many_types(mutable: tuple[bytes, int], tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(mutable[0])
    use(path)
    stored = {entry.type.name for entry in load_gguf(path).file.tensors.values()}
    assert len(stored) >= 6
