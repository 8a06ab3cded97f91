# SPDX-License-Identifier: Apache-2.0
"""Where the cycles of a run went: what the array did, layer by layer."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from weft.compiler.conventions import Token
from weft.profile.timeline import Run
from weft_arch.isa import Engine, Instruction, Loop
from weft_arch.observed import Wire

__all__ = ["DRAINING", "IDLE", "USEFUL", "WEIGHTS", "array_causes", "waiting"]

USEFUL = "multiplies"
WEIGHTS = "waits for weights"
DRAINING = "fills and drains"
IDLE = "has no instruction"


def waiting(token: int) -> str:
    """The cause of a wait for a token."""
    return f"waits for {Token(token).name}"


def array_causes(run: Run, program: Sequence[Instruction]) -> dict[str, Counter[str]]:
    """Cycles by cause, for the phases of a run: "start", "layer 0" and so on, "head", "end".

    A cycle belongs to the phase of the oldest product or attention in work or, if there is none,
    of the next one. All cycles of the run are in exactly one place.
    """
    phases = [*_phases(run, program), "end"]
    found: dict[str, Counter[str]] = {"start": Counter()}
    found |= {phase: Counter() for phase in phases}
    token = run.waited_for(Engine.COMPUTE)
    next_one = run.done_before(Engine.COMPUTE)
    accepted = np.searchsorted([s.accepted for s in run.slices[Engine.COMPUTE]], run.changes)
    in_work = accepted > next_one
    useful, weights = run.bit(Wire.MAC), run.bit(Wire.WAIT_WEIGHTS)
    for place, cycles in enumerate(run.durations.tolist()):
        if useful[place]:
            cause = USEFUL
        elif weights[place]:
            cause = WEIGHTS
        elif in_work[place]:
            cause = DRAINING
        elif token[place]:
            cause = waiting(int(token[place]))
        else:
            cause = IDLE
        found[phases[next_one[place]]][cause] += cycles
    return {phase: causes for phase, causes in found.items() if causes}


def _phases(run: Run, program: Sequence[Instruction]) -> list[str]:
    """The phase of every product and attention of a run."""
    first, end = next(
        (at + 1, loop.body_end)
        for at, loop in enumerate(program)
        if isinstance(loop, Loop) and loop.count
    )
    seen: Counter[int] = Counter()
    names: list[str] = []
    for each in run.slices[Engine.COMPUTE]:
        at = each.step.at
        if at < first:
            names.append("start")
        elif at < end:
            names.append(f"layer {seen[at]}")
            seen[at] += 1
        else:
            names.append("head")
    return names
