# SPDX-License-Identifier: Apache-2.0
"""What the build must get right whatever the design is."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.verilog_text import with_constants_driven, with_short_zeros
from weft_sim.bench import Bench, bench_test, run_cocotb
from weft_sim.model_cache import ArtifactCache
from weft_sim.rtl_model import compile_design
from weft_sim.toolchain import ToolchainError

PARTS = data.StructLayout({"gated": 8, "constant": 8, "copied": 8})


class PartlyConstant(wiring.Component):
    """A structure of which one field is a constant; members ``i`` and ``o``."""

    i: Signal
    o: data.View

    def __init__(self) -> None:
        super().__init__({"i": In(8), "o": Out(PARTS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o.constant.eq(0x5A), self.o.copied.eq(self.i)]
        with m.If(self.i[0]):
            m.d.comb += self.o.gated.eq(self.i)
        return m


@bench_test(deadline_cycles=100)
async def shows_the_constant(bench: Bench) -> None:
    for value in (0, 2, 3):
        bench.dut.i.value = value
        await bench.settle()
        expected = (value if value & 1 else 0) | 0x5A << 8 | value << 16
        assert int(bench.dut.o.value) == expected


def test_a_constant_part_of_a_signal_has_its_value() -> None:
    run_cocotb(PartlyConstant(), __file__, tests="shows_the_constant")


def test_the_constant_part_is_what_the_rewriting_is_for() -> None:
    text = "  always @*\n    o[15:8] = 8'h5a;\n  always @*\n    p = q;\n"
    rewritten = with_constants_driven(text)
    assert rewritten == "  always_comb\n    o[15:8] = 8'h5a;\n  always @*\n    p = q;\n"


def test_deep_memories_are_cleared_in_a_loop() -> None:
    def cleared(words: int, last: str = "0000") -> str:
        lines = [
            f"    deep[{i}] = 16'h{'0000' if i + 1 < words else last};\n" for i in range(words)
        ]
        return f"  initial begin\n{''.join(lines)}  end\n"

    loop = (
        "  initial begin : clear_deep\n"
        "    integer i;\n"
        "    for (i = 0; i < 4097; i = i + 1) deep[i] = 16'h0;\n"
        "  end\n"
    )
    assert with_short_zeros(f"a;\n{cleared(4097)}b;\n") == f"a;\n{loop}b;\n"
    for kept in (cleared(4096), cleared(4097, last="0001")):
        assert with_short_zeros(kept) == kept


def test_broken_verilog_is_told_in_verilators_words(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"(?s)Could not verilate the design.*syntax error"):
        compile_design("module weft_top(; endmodule", beat_bytes=8, cache=ArtifactCache(tmp_path))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "nothing half-made stays"


def test_a_wrong_bus_width_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="Could not compile"):
        compile_design("module weft_top; endmodule", beat_bytes=8, cache=ArtifactCache(tmp_path))
