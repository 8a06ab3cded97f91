# SPDX-License-Identifier: Apache-2.0
"""Adapters that requests choose: what each gets does not depend on the others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.host.adapter_files import RANK, write_gguf_adapter, write_peft
from weft import LLM, SamplingParams
from weft.errors import CompileError, ModelError, PromptError, WeftError

GREEDY = SamplingParams(temperature=0, max_tokens=10, ignore_eos=True)
PROMPT = "Tom ran"
OTHER = "base_model.model.model.layers.0.mlp.up_proj.lora_"


@pytest.fixture
def adapters(tmp_path: Path) -> dict[str, Path]:
    """The same changes in both forms, and others of another matrix beside them."""
    rng = np.random.default_rng(4)
    more = {
        f"{OTHER}A.weight": rng.normal(0, 0.3, (RANK, 48)).astype(np.float32),
        f"{OTHER}B.weight": rng.normal(0, 0.3, (40, RANK)).astype(np.float32),
    }
    return {
        "folder": write_peft(tmp_path / "folder"),
        "file": write_gguf_adapter(tmp_path / "file.gguf"),
        "more": write_peft(tmp_path / "more", {}, more),
    }


@pytest.fixture
def llm(make_folder: Callable[..., Path], adapters: dict[str, Path]) -> Iterator[LLM]:
    with LLM(make_folder(), device="reference", preset="tiny", adapters=adapters) as made:
        yield made


def tokens(llm: LLM, adapter: str | None, params: SamplingParams = GREEDY) -> list[int]:
    (output,) = llm.generate(PROMPT, params, adapter=adapter)
    return output.token_ids


def test_a_request_has_the_adapter_that_it_names(
    make_folder: Callable[..., Path], llm: LLM
) -> None:
    with LLM(make_folder(), device="reference", preset="tiny") as plain:
        expected = tokens(plain, None)
    assert tokens(llm, None) == expected
    assert tokens(llm, "folder") != expected
    assert tokens(llm, "file") == tokens(llm, "folder")
    assert tokens(llm, "more") not in (tokens(llm, "folder"), expected)
    assert tokens(llm, None) == expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_requests_with_different_adapters_run_side_by_side(llm: LLM, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, seed=3, max_tokens=10, ignore_eos=True)
    names = ["folder", None, "more", "folder", None, "file", "more", "folder", "folder", None]
    prompts = [PROMPT if k % 2 else "Lily ran to the farm" for k in range(len(names))]
    found = [output.token_ids for output in llm.generate(prompts, params, adapter=names)]
    for prompt, name, ids in zip(prompts, names, found, strict=True):
        (alone,) = llm.generate(prompt, params, adapter=name)
        assert ids == alone.token_ids


def test_streams_with_different_adapters_take_turns(llm: LLM) -> None:
    names = ("folder", None, "more")
    streams = [llm.stream(PROMPT, GREEDY, adapter=name) for name in names]
    turns = list(zip(*streams, strict=True))
    for name, last in zip(names, turns[-1], strict=True):
        assert last.output is not None
        assert last.output.token_ids == tokens(llm, name)


def test_an_adapter_on_top_of_a_merged_one(
    make_folder: Callable[..., Path], adapters: dict[str, Path]
) -> None:
    folder, merged = make_folder(), adapters["folder"]
    with LLM(folder, device="reference", preset="tiny", lora_merge=merged) as plain:
        expected = tokens(plain, None)
    with LLM(
        folder, device="reference", preset="tiny", lora_merge=merged, adapters=adapters
    ) as both:
        assert tokens(both, None) == expected
        assert tokens(both, "more") != expected


def test_what_cannot_be_chosen_gets_a_sentence(llm: LLM) -> None:
    with pytest.raises(WeftError, match=r"^adapter 'no' is not resident; there are: folder, file,"):
        llm.generate(PROMPT, adapter="no")
    with pytest.raises(WeftError, match=r"^adapter 'no' is not resident"):
        llm.stream(PROMPT, adapter="no")
    with pytest.raises(PromptError, match=r"^there are 2 adapters for 1 prompts; name one for all"):
        llm.generate([PROMPT], adapter=["folder", None])


def test_what_cannot_be_resident_gets_a_sentence(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder({"tie_word_embeddings": False})
    head = {
        f"base_model.model.lm_head.lora_{name}.weight": np.ones(shape, np.float32)
        for name, shape in (("A", (RANK, 48)), ("B", (320, RANK)))
    }
    of_head = write_peft(tmp_path / "head", {}, head)
    with pytest.raises(CompileError, match=r"^adapter 'x': it changes lm_head, which has no side"):
        LLM(folder, device="reference", preset="tiny", adapters={"x": of_head})
    with pytest.raises(ModelError, match=r"adapter .*nothing' is neither a folder with"):
        LLM(folder, device="reference", preset="tiny", adapters={"x": tmp_path / "nothing"})
