# SPDX-License-Identifier: Apache-2.0
"""What a profile says is what the hardware counted."""

import importlib.util
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from weft import LLM
from weft.benchmarks.plots import plot_results
from weft.benchmarks.result import Result
from weft.errors import WeftError
from weft.profile import Run, decode, record
from weft.profile.causes import USEFUL, WEIGHTS, array_causes
from weft.profile.chrome_trace import chrome_trace
from weft.profile.plots import plot_layers, plot_roofline, run_points
from weft_arch.isa import ENGINES, Engine
from weft_arch.observed import Wire
from weft_sim.rtl_device import RtlDevice

PROMPT = "Once upon a time there was a little dog who had a red ball. The dog went to the park."


class Profiled:
    """A recording of two prompt chunks and a decode step, and what was counted meanwhile."""

    def __init__(self) -> None:
        with LLM(device="rtl", preset="tiny", device_options={"observed": True}) as llm:
            ids = llm.tokenizer.encode(PROMPT)[: llm.runner.chunk_rows + 1]
            before = llm.runner.counters()
            self.runs = record(llm, ids, 1)
            self.counted = llm.runner.counters() - before
            self.program, self.config = llm.compiled.program, llm.config
            assert isinstance(llm.device, RtlDevice)
            self.observations = llm.device.observations()


@pytest.fixture(scope="module")
def profiled() -> Profiled:
    return Profiled()


def test_cycles_bytes_and_products_are_those_of_the_counters(profiled: Profiled) -> None:
    runs, beat_bytes = profiled.runs, profiled.config.beat_bytes

    def total(wire: int) -> int:
        return sum(run.cycles_of(wire) for run in runs)

    assert [run.name.split()[0] for run in runs] == ["prefill", "prefill", "decode"]
    assert sum(run.cycles for run in runs) == profiled.counted.cycles
    assert total(Wire.READ_BEAT) * beat_bytes == profiled.counted.bytes_read
    assert total(Wire.MAC) == profiled.counted.mac_cycles


def test_engines_do_one_thing_after_the_other(profiled: Profiled) -> None:
    for run in profiled.runs:
        for engine in ENGINES:
            spans = [(s.start, s.end) for s in run.slices[engine]]
            spans += [(w.start, w.end) for w in run.waits[engine]]
            spans.sort()
            assert spans, engine
            assert all(start < end <= run.cycles for start, end in spans)
            assert all(a[1] <= b[0] for a, b in pairwise(spans))
            assert all(s.step.instruction.engine is engine for s in run.slices[engine])


def test_every_cycle_has_one_cause(profiled: Profiled) -> None:
    layers = {f"layer {k}" for k in range(4)}
    for run in profiled.runs:
        causes = array_causes(run, profiled.program)
        total: Counter[str] = sum(causes.values(), Counter())
        assert total.total() == run.cycles
        assert total[USEFUL] == run.cycles_of(Wire.MAC)
        assert total[WEIGHTS] > 0
        assert layers <= set(causes)
    assert "head" in array_causes(profiled.runs[-1], profiled.program)
    assert "head" not in array_causes(profiled.runs[0], profiled.program), "not the last chunk"


def test_the_trace_holds_every_instruction(profiled: Profiled) -> None:
    events = json.loads(chrome_trace(profiled.runs, profiled.config))["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    of_compute = [e for e in slices if e["tid"] == 1 + 2 * ENGINES.index(Engine.COMPUTE)]
    expected = [s for run in profiled.runs for s in run.slices[Engine.COMPUTE]]
    assert [e["dur"] for e in of_compute] == [s.end - s.start for s in expected]
    assert any(e["name"].startswith("ATTEND") for e in of_compute)
    curve = [e for e in events if e["ph"] == "C" and e["name"] == "read"]
    assert max(e["args"]["bytes per cycle"] for e in curve) == profiled.config.beat_bytes


def test_another_program_does_not_fit_a_recording(profiled: Profiled) -> None:
    with pytest.raises(WeftError, match="the recording holds 3 runs instead of 1"):
        decode(profiled.observations, profiled.program, [("decode 0", {})])
    # Without rows and without a head the program has fewer products.
    with pytest.raises(WeftError, match="the program has"):
        decode(profiled.observations, profiled.program, [("a", {}), ("b", {}), ("c", {})])


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_pictures(profiled: Profiled, tmp_path: Path) -> None:
    def texts(path: Path) -> str:
        return ElementTree.tostring(ElementTree.parse(path).getroot(), encoding="unicode")

    run: Run = profiled.runs[-1]
    plot_layers("decode", array_causes(run, profiled.program), tmp_path / "layers.svg")
    points = run_points(profiled.runs, profiled.config)
    plot_roofline(points, profiled.config, tmp_path / "roofline.svg")
    for name, word in (("layers.svg", "layer 3"), ("roofline.svg", "MACs per cycle")):
        assert word in texts(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_pictures_of_benchmarks(tmp_path: Path) -> None:
    counters = {"mac_cycles": 900, "bytes_read": 8000, "bytes_written": 100}
    result = Result(
        name="some work",
        preset="default",
        value=0.9,
        unit="fraction",
        target="96 %",
        cycles=1000,
        counters=counters,
    )
    assert plot_results([], tmp_path) == []
    written = plot_results([result], tmp_path)
    assert [path.name for path in written] == ["fractions.svg", "roofline_default.svg"]
    assert all("some work" in path.read_text() for path in written)
