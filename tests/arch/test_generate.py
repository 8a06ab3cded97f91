# SPDX-License-Identifier: Apache-2.0
"""The generated pages and header are what the contract says now."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from weft_arch import generate, isa, registers
from weft_arch.assembler import assemble
from weft_arch.config import preset
from weft_arch.encoding import encode
from weft_arch.generators import (
    c_header,
    instruction_page,
    jobs_page,
    register_page,
    soc_page,
    sources,
)
from weft_arch.layouts import KVLayout

PAGES = [instruction_page.render, register_page.render, soc_page.render, jobs_page.render]


def test_no_generated_file_is_stale() -> None:
    assert not generate.stale(), "run python -m weft_arch.generate"


def test_check_names_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "stale", lambda: list(generate.FILES)[:1])
    assert generate.main(["--check"]) == 2
    assert "is not a checkout of weft" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/instruction-set.md is stale\n"
    assert generate.main([]) == 0
    assert (tmp_path / "docs/instruction-set.md").read_text() == instruction_page.render()


def test_staleness_is_seen(tmp_path: Path) -> None:
    assert generate.stale(tmp_path) == list(generate.FILES)
    for name, render in generate.FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(render())
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs/registers.md").write_text("old")
    assert generate.stale(tmp_path) == ["docs/registers.md"]


def test_the_page_shows_every_instruction_field_and_member() -> None:
    page = instruction_page.render()
    for opcode, cls in isa.INSTRUCTIONS.items():
        assert f"\n### {opcode.name}\n" in page
        for spec in isa.field_specs(cls):
            assert f"| `{spec.name}` | {spec.width} | {spec.doc}" in page
            for member in spec.kind or ():
                assert f"| {int(member)} | `{member.name}` |" in page


def headings(page: str) -> list[str]:
    return [line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("#")]


@pytest.mark.parametrize("render", PAGES)
def test_links_inside_a_page_lead_somewhere(render) -> None:
    page = render()
    code = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    anchors = {h.replace(" ", "-") for h in headings(code)}
    assert len(anchors) == len(headings(code)), "two headings would share an anchor"
    anchors |= set(re.findall(r'<a id="([^"]+)">', page))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


@pytest.mark.parametrize("render", PAGES)
def test_tables_have_as_many_cells_in_each_row(render) -> None:
    cells = 0
    for line in render().splitlines():
        if line.startswith("| "):
            now = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (0, now), line
            cells = now
        elif not line.startswith("|"):
            cells = 0


def test_the_example_assembles() -> None:
    program = assemble(instruction_page.EXAMPLE)
    assert [i.opcode.name for i in program][-1] == "HALT"
    assert {i.engine for i in program} == set(isa.Engine)


def test_markdown_of_a_docstring() -> None:
    assert sources.markdown("First ``x``::\n\n    code ``y``\n\n    more\n\nLast.") == (
        "First `x`:\n\n```\ncode ``y``\n\nmore\n```\n\nLast."
    )
    assert sources.markdown("One.\nTwo:\n\n    code") == "One.\nTwo:\n\n```\ncode\n```"


def test_member_docs_are_the_strings_behind_members() -> None:
    docs = sources.member_docs(isa.VectorOp)
    assert docs["ADD"] == "a + b"
    assert sources.member_docs(isa.Activation)["SILU"] == ""
    assert sources.constant_docs("weft_arch.isa")["N_TOKENS"] == "Dependency tokens 1 to 31."


def test_header_names_are_unique() -> None:
    names = re.findall(r"^(?:#define |    )(WEFT_\w+)", c_header.render(), flags=re.MULTILINE)
    assert len(names) > 300
    assert len(names) == len(set(names))


PROGRAM = r"""
#include "weft_arch.h"
#include <stdio.h>

int main(void)
{
    weft_instruction i = {{0}};
    WEFT_SET(&i, WEFT_FIELD_OPCODE, WEFT_OPCODE_MATMUL);
    WEFT_SET(&i, WEFT_FIELD_SIGNAL_B, 31);
    WEFT_SET(&i, WEFT_FIELD_ADDRESS, 0xDEADBEEF);
    WEFT_SET(&i, WEFT_FIELD_COUNT_REG, 9);
    WEFT_SET(&i, WEFT_MATMUL_FORMAT, WEFT_WEIGHT_FORMAT_W4);
    WEFT_SET(&i, WEFT_MATMUL_N_TILES, 0xABCD);
    WEFT_SET(&i, WEFT_MATMUL_TOP_K_LIMIT, 262143);
    weft_instruction c = {{0}};
    WEFT_SET(&c, WEFT_FIELD_OPCODE, WEFT_OPCODE_CODEBOOK);
    WEFT_SET(&c, WEFT_CODEBOOK_ENTRIES_LOW, 0x0123456789ABCDEFull);
    for (int w = 0; w < WEFT_INSTRUCTION_BYTES / 4; w++)
        printf("%08x%08x\n", i.word[w], c.word[w]);
    printf("%u %u %u %llx %u %u %d %u\n", (unsigned)WEFT_REG_CYCLES_HIGH,
           (unsigned)WEFT_REG_SCALAR_15, (unsigned)WEFT_FAULT_TOKEN_OVERFLOW,
           (unsigned long long)WEFT_DEFAULT_FINGERPRINT, (unsigned)WEFT_TINY_KV2_BLOCK_BYTES,
           (unsigned)WEFT_DEFAULT_TILE_BYTES_W4, WEFT_KEY_MIN_EXPONENT,
           (unsigned)WEFT_IMAGE_HEADER_BYTES);
    return 0;
}
"""


def test_the_header_compiles_and_says_the_same(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "weft_arch.h").write_text(c_header.render())
    (tmp_path / "main.c").write_text(PROGRAM)
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run([compiler, *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    *words, values = out.splitlines()

    matmul = isa.Matmul(
        signal_b=31,
        address=0xDEADBEEF,
        count_reg=9,
        format=isa.WeightFormat.W4,
        n_tiles=0xABCD,
        top_k_limit=262143,
    )
    matmul = dataclasses.replace(matmul, to_vector_memory=0)
    codebook = isa.Codebook(entries_low=0x0123456789ABCDEF)
    for instruction, part in ((matmul, slice(0, 8)), (codebook, slice(8, 16))):
        raw = b"".join(int(w[part], 16).to_bytes(4, "little") for w in words)
        assert raw == encode(instruction)
    assert values.split() == [
        str(registers.offset("CYCLES_HIGH")),
        str(registers.scalar_offset(15)),
        str(int(registers.Fault.TOKEN_OVERFLOW)),
        f"{preset('default').fingerprint:x}",
        str(KVLayout(preset("tiny"), 2).block_bytes),
        str(preset("default").tile_bytes(4)),
        "-14",
        "32",
    ]
