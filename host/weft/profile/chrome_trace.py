# SPDX-License-Identifier: Apache-2.0
"""A recording in the trace format of Chrome and Perfetto.

A cycle is shown as a microsecond. Each engine has a track of its instructions and one of its waits;
beside them are the array and the two data channels of the memory, in bytes per cycle.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from weft.compiler.conventions import Token
from weft.profile.causes import waiting
from weft.profile.timeline import Run, Slice
from weft_arch.config import Configuration
from weft_arch.isa import ENGINES, Instruction, Opcode, Resident
from weft_arch.observed import Wire

__all__ = ["chrome_trace"]

BIN_CYCLES = 64
"""Cycles that a point of the array's and the memory's curves stands for."""

Event = dict[str, Any]


def chrome_trace(runs: Sequence[Run], config: Configuration) -> str:
    """The trace as JSON text."""
    events = [_metadata("process_name", 0, name=f"weft, preset {config.name}")]
    for track, name in enumerate(_tracks()):
        events.append(_metadata("thread_name", track, name=name))
        events.append(_metadata("thread_sort_index", track, sort_index=track))
    for run in runs:
        events += _of_run(run, config)
    return json.dumps({"traceEvents": events, "otherData": {"unit": "1 us is one clock cycle"}})


def _tracks() -> list[str]:
    names = ["program"]
    for engine in ENGINES:
        names += [engine.name.lower(), f"{engine.name.lower()} waits"]
    return names


def _metadata(kind: str, track: int, **arguments: Any) -> Event:
    return {"ph": "M", "name": kind, "pid": 0, "tid": track, "args": arguments}


def _of_run(run: Run, config: Configuration) -> Iterable[Event]:
    def slice_of(track: int, name: str, start: int, end: int, **arguments: Any) -> Event:
        return {
            "ph": "X",
            "pid": 0,
            "tid": track,
            "name": name,
            "ts": run.start + start,
            "dur": end - start,
            "args": arguments,
        }

    yield slice_of(0, run.name, 0, run.cycles)
    for number, engine in enumerate(ENGINES):
        for each in run.slices[engine]:
            yield slice_of(1 + 2 * number, _label(each), each.start, each.end, **_arguments(each))
        for wait in run.waits[engine]:
            yield slice_of(2 + 2 * number, waiting(wait.token), wait.start, wait.end)
    for name, wire, unit, scale in (
        ("array", Wire.MAC, "of the cycles", 1.0),
        ("read", Wire.READ_BEAT, "bytes per cycle", config.beat_bytes),
        ("written", Wire.WRITE_BEAT, "bytes per cycle", config.beat_bytes),
    ):
        for start, share in _curve(run, wire):
            yield {
                "ph": "C",
                "pid": 0,
                "name": name,
                "ts": run.start + start,
                "args": {unit: round(scale * share, 3)},
            }


def _curve(run: Run, wire: int) -> Iterable[tuple[int, float]]:
    """(cycle, share of the cycles in which a wire is up), in bins."""
    bins = -(-run.cycles // BIN_CYCLES)
    # Cycles with the wire up before each change, then before each bin's edge.
    changes = np.append(run.changes, run.cycles)
    before = np.concatenate([[0], np.cumsum(run.durations * run.bit(wire))])
    edges = np.minimum(np.arange(bins + 1) * BIN_CYCLES, run.cycles)
    up = np.diff(np.interp(edges, changes, before))
    sizes = np.maximum(np.diff(edges), 1)
    yield from zip(edges[:-1].tolist(), (up / sizes).tolist(), strict=True)
    yield run.cycles, 0.0


_RESIDENT = {Resident.NONE: "", Resident.KEEP: " kept", Resident.REPLAY: " replayed"}


def _label(each: Slice) -> str:
    """The instruction in a few words."""
    i: Any = each.step.instruction
    count = each.step.count
    match i.opcode:
        case Opcode.MATMUL:
            return f"MATMUL {count} x {i.k_blocks} blocks x {i.n_tiles} tiles"
        case Opcode.ATTEND:
            return f"ATTEND {count} rows, {each.step.aux_b} keys"
        case Opcode.VECTOR:
            return f"{i.operation.name} to {i.to.name}"
        case Opcode.REDUCE:
            return i.operation.name
        case Opcode.STREAM_WEIGHTS:
            return f"{count} weight tiles{_RESIDENT[i.resident]}"
        case Opcode.STREAM_KV:
            return f"keys and values of {count}"
        case _:
            return i.opcode.name


def _arguments(each: Slice) -> dict[str, Any]:
    """Whatever is not at its default, the scalars resolved."""
    i: Instruction = each.step.instruction
    given = {f.name: getattr(i, f.name) for f in fields(i) if getattr(i, f.name) != f.default}
    for name in ("wait_a", "wait_b", "signal_a", "signal_b"):
        if given.get(name):
            given[name] = Token(given[name]).name
    step = each.step
    resolved = {"address": hex(step.address), "count": step.count}
    shown = {name: int(value) if isinstance(value, int) else value for name, value in given.items()}
    return {"instruction": step.at, "accepted": each.accepted, **shown, **resolved}
