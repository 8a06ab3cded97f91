# SPDX-License-Identifier: Apache-2.0
"""Everything a block's test bench needs, in one import.

A bench is one pytest file. The pytest function builds the design and starts the simulation; the
cocotb test in the same file only connects driver, monitor, model and checker:

    from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

    SHAPE = data.StructLayout({"a": signed(8), "b": signed(8)})

    @bench_test(deadline_cycles=5_000)
    async def multiplies(bench: Bench) -> None:
        driver = StreamDriver(bench, "i", SHAPE)        # ports i__payload, i__valid, i__ready
        monitor = StreamMonitor(bench, "o", signed(16)) # drives o__ready, checks the protocol
        cases = [{"a": bench.random.randrange(-128, 128), "b": -128} for _ in range(200)]
        driver.send_all(cases)
        await monitor.expect([case["a"] * case["b"] for case in cases])

    @pytest.mark.parametrize("stall", [0.0, 0.5])
    def test_multiplier(stall: float) -> None:
        run_cocotb(Multiplier(), __file__, tests="multiplies", parameters={"stall": stall})

What to know:

- `run_cocotb` takes an Amaranth component or Verilog text, builds once per distinct Verilog (kept
  in ``build/cocotb``), and turns a failure into a pytest failure with the log. Parameters reach
  the bench as ``bench.parameters`` (through JSON); ``stall`` sets the stall probability of all
  drivers and monitors. Build the configuration again in the bench from the parameters.
- `bench_test` starts the clock ``clk``, holds ``rst`` for two cycles, and requires a deadline in
  cycles. Name the coroutine without ``test`` in front, or pytest collects it. Set the inputs that
  are no streams first thing (``bench.dut.i_scale.value = 3``): nothing is driven by itself.
- `StreamDriver.send`/`send_all` queue at once and return; `StreamMonitor.wait_for(n)` and
  ``expect(list)`` wait. ``received_cycles`` holds the cycle of each transfer, for asserting
  throughput. Create drivers and monitors before the first ``await``.
- Payloads are given and returned as dictionaries (structures), lists (arrays), signed or unsigned
  integers, by the Amaranth shape passed in; without a shape, as unsigned integers.
- Reading a port right after a clock edge gives the value from before it; writing takes effect
  after it. For a block without a clock use ``await bench.settle()`` between writing and reading.
- ``WEFT_BENCH_SEED=7 pytest ...`` repeats a run; ``WEFT_BENCH_WAVES=1`` writes ``dump.vcd``;
  ``expose_internals=True`` lets the bench look at signals inside the design.
"""

from __future__ import annotations

from weft_sim.bench_context import Bench, bench_test
from weft_sim.cocotb_runner import BuiltDesign, build_cocotb, run_cocotb
from weft_sim.payloads import Packer, pack, pack_lanes, unpack
from weft_sim.streams import Stalls, StreamChecker, StreamDriver, StreamError, StreamMonitor

__all__ = [
    "Bench",
    "BuiltDesign",
    "Packer",
    "Stalls",
    "StreamChecker",
    "StreamDriver",
    "StreamError",
    "StreamMonitor",
    "bench_test",
    "build_cocotb",
    "pack",
    "pack_lanes",
    "run_cocotb",
    "unpack",
]
