# SPDX-License-Identifier: Apache-2.0
"""Models whose weights stay on the chip: the same bits, and no weight byte read twice."""

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.compiler import CompiledModel
from weft.compiler.conventions import chunk_scalars
from weft.devices import open_device
from weft.lockstep import Lockstep
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft.runtime.program import set_program
from weft.sampling import SamplingParams
from weft_arch.config import Configuration, preset
from weft_arch.device import Device, DeviceFault, DeviceTimeout
from weft_arch.isa import Resident, StreamWeights
from weft_arch.registers import scalar_offset
from weft_sim.memory_parameters import MemoryParameters
from weft_sim.reference import ReferenceDevice

SMALL = random_model(model_config(hidden_dim=32, vocab_size=40))
TINY = replace(preset("tiny"), resident_bytes=1 << 16)
IDS = tokens(9, 40)
FORMATS = (WeightFormat.W8, WeightFormat.W4)


def run(model: CompiledModel, device: Device | None = None) -> tuple[ModelRunner, np.ndarray]:
    """Logits of a prompt's last token and of four steps after it."""
    made = ModelRunner(model, device) if device else runner(model)
    made.prefill(IDS[:5], store_logits=True)
    logits = [made.logits()]
    for position in range(5, 9):
        made.run_chunk([IDS[position]], position=position, store_logits=True)
        logits.append(made.logits())
    return made, np.concatenate(logits)


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("config", [preset("resident"), TINY], ids=lambda c: c.name)
def test_bits_are_those_of_streamed_weights(config: Configuration, weights: WeightFormat) -> None:
    kept, streamed = compiled(SMALL, config, weights), compiled(SMALL, "default", weights)
    assert kept.memory.resident
    assert not streamed.memory.resident
    assert np.array_equal(run(kept)[1].view("<u4"), run(streamed)[1].view("<u4"))


def test_a_batch_replays_too() -> None:
    kept = compiled(SMALL, "resident", max_sequences=3)
    streamed = compiled(SMALL, "default", max_sequences=3)
    logits = []
    for model in (kept, streamed):
        made = runner(model)
        for sequence in range(3):
            made.prefill(IDS[: 3 + sequence], sequence=sequence)
        made.run_batch([BatchRow(sequence=s, position=3 + s, token_id=7) for s in range(3)])
        logits.append(made.logits(3))
    assert np.array_equal(*logits)


def test_weights_are_read_once() -> None:
    model = compiled(SMALL, "resident")
    made = runner(model)
    made.keep_weights()
    assert made.counters().bytes_read == model.memory.regions["weights"].size
    made.keep_weights()
    assert made.counters().bytes_read == model.memory.regions["weights"].size
    # A step reads what the same step with streamed weights reads, but for the weights.
    streamed = runner(compiled(SMALL, "wide"))
    steps = []
    for each in (made, streamed):
        before = each.counters().bytes_read
        each.run_chunk([IDS[0]], position=0)
        steps.append(each.counters().bytes_read - before)
    assert steps[1] - steps[0] == model.memory.regions["weights"].size


def test_a_model_that_does_not_fit_streams() -> None:
    """All of it, as if there were no resident memory."""
    small = replace(preset("resident"), resident_bytes=1 << 15)
    model, wide = compiled(SMALL, small), compiled(SMALL, "wide")
    assert model.keep == ()
    assert not any(isinstance(i, StreamWeights) and i.resident for i in model.program)
    assert model.program == wide.program
    assert model.memory.regions == wide.memory.regions


def test_the_last_place_may_be_taken() -> None:
    """Exactly as many places as the tiles need are enough, one fewer is not."""
    model = compiled(SMALL, "resident")
    size = model.memory.regions["weights"].size // model.config.tile_bytes(8) * 2
    shape = model.config
    assert size * shape.resident_place_bytes <= 1 << 16
    assert compiled(SMALL, replace(shape, resident_bytes=1 << 16)).memory.resident
    (keep, _) = model.keep
    assert keep == StreamWeights(
        address=model.memory.regions["weights"].base, count=size // 2, resident=Resident.KEEP
    )


def breaks_and_recovers(device: Device, model: CompiledModel) -> None:
    """A fault forgets the weights; the next run brings them back."""
    made, expected = run(model, device)
    program = made.compiled.memory.regions["program"]
    good = device.read_memory(program.base, 32)
    device.write_memory(program.base, bytes([0xFF] * 32))
    with pytest.raises(DeviceFault):
        made.run_chunk([IDS[8]], position=8)
    device.write_memory(program.base, good)
    made.run_chunk([IDS[8]], position=8, store_logits=True)
    assert np.array_equal(made.logits()[0], expected[-1])


def test_after_a_fault_weights_are_kept_again() -> None:
    model = compiled(SMALL, TINY)
    breaks_and_recovers(ReferenceDevice(TINY, memory_bytes=model.memory.size), model)


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_rtl(stall: float) -> None:
    """Both formats on the RTL, bit for bit, chunks of any size, and again after a fault."""
    memory = MemoryParameters(stall=stall, seed=3) if stall else None
    size = 1 << 20
    for weights in FORMATS:
        model = compiled(SMALL, TINY, weights)
        with (
            open_device("rtl", TINY, memory_bytes=size, memory=memory) as tested,
            ReferenceDevice(TINY, memory_bytes=size) as reference,
        ):
            lockstep = Lockstep(model, tested, reference)
            for chunk in (None, 2):
                params = SamplingParams(temperature=0)
                lockstep.run(list(IDS), params, max_tokens=4, chunk=chunk)
            assert np.array_equal(
                run(model, tested)[1], run(compiled(SMALL, "default", weights))[1]
            )
            breaks_and_recovers(tested, model)


def test_rtl_reset_in_the_middle() -> None:
    """Of keeping, and of a step that replays: after it all is as new."""
    model = compiled(SMALL, TINY)
    expected = run(model)[1]
    memory = model.memory
    programs = [("keep_program", len(model.keep), {}, (40, 333, 2000))]
    programs.append(("program", len(model.program), chunk_scalars(1, 0), (300, 1500, 2300)))
    with open_device("rtl", TINY, memory_bytes=memory.size) as device:
        for name, length, scalars, waits in programs:
            for wait in waits:
                made = ModelRunner(model, device)
                made.keep_weights()
                set_program(
                    device,
                    memory.regions[name].base,
                    length,
                    region=(0, memory.size),
                    write=(memory.read_only_end, memory.size),
                )
                for register, value in scalars.items():
                    device.write_register(scalar_offset(register), value)
                device.start()
                with pytest.raises(DeviceTimeout):
                    device.wait(wait)
                device.reset()
                assert np.array_equal(run(model, device)[1], expected), (name, wait)
