# SPDX-License-Identifier: Apache-2.0
"""The scalar arithmetic against the reference's."""

from __future__ import annotations

from weft_arch.config import preset
from weft_arch.isa import Scalar, ScalarOp
from weft_rtl.control.scalar_unit import ScalarUnit
from weft_sim.bench import Bench, bench_test, run_cocotb
from weft_sim.reference import ReferenceDevice

CORNERS = (0, 1, 2, 31, 32, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


@bench_test(deadline_cycles=60_000)
async def computes(bench: Bench) -> None:
    dut, rng = bench.dut, bench.random
    machine = ReferenceDevice(preset("tiny"), memory_bytes=64)._machine
    cases = [(x, y, i) for x in CORNERS for y in CORNERS[::3] for i in CORNERS]
    cases += [tuple(rng.getrandbits(rng.randint(1, 32)) for _ in range(3)) for _ in range(100)]
    for operation in ScalarOp:
        for x, y, immediate in cases:
            dut.i_operation.value = operation
            dut.i_x.value, dut.i_y.value, dut.i_immediate.value = x, y, immediate
            dut.i_start.value = 1
            await bench.cycles(1)
            dut.i_start.value = 0
            await bench.cycles(2)
            waited = 1
            while not int(dut.o_done.value):
                await bench.cycles(1)
                waited += 1
            machine.state.scalars[1:3] = [x, y]
            machine._scalar(
                Scalar(
                    operation=operation,
                    address_reg=1,
                    count_reg=2,
                    address=immediate,
                    destination=3,
                )
            )
            assert int(dut.o_value.value) == machine.state.scalars[3], (operation, x, y, immediate)
            if operation not in (ScalarOp.MUL, ScalarOp.SHIFT_RIGHT):
                assert waited == 1


def test_scalar_unit() -> None:
    run_cocotb(ScalarUnit(), __file__, tests="computes")
