# SPDX-License-Identifier: Apache-2.0
"""Control and status registers on the AXI4-Lite port: 32 bits each, byte offsets.

64-bit counters are two registers, low word first; reading the low word latches the high one.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from weft_arch.isa import N_SCALARS

__all__ = [
    "COUNTERS",
    "ID_VALUE",
    "REGISTERS",
    "VERSION_VALUE",
    "WINDOW_BYTES",
    "Access",
    "Control",
    "EngineState",
    "Fault",
    "Interrupt",
    "Register",
    "Status",
    "counter_offset",
    "offset",
    "scalar_offset",
]

ID_VALUE = 0x57454654
"""'WEFT' in ASCII, most significant byte first."""
VERSION_VALUE = 0x0001_0000
"""Major version in the upper half: an incompatible contract changes it."""
WINDOW_BYTES = 0x400
"""Size of the register window; addresses beyond it answer DECERR."""


class Access(IntEnum):
    """Who may write."""

    READ_ONLY = 0
    READ_WRITE = 1
    WRITE_ONLY = 2


class Control(IntFlag):
    """Bits of CONTROL; writing 1 acts, reading gives 0."""

    START = 1
    """Clear done, fault and counters' run state and run the program from its first instruction.
    Ignored while running, and after a fault until RESET."""
    RESET = 2
    """Finish outstanding memory transactions, then put every engine, queue, token, buffer and
    scalar register into its initial state. Region, program and interrupt registers and the
    counters keep their values."""
    CLEAR_COUNTERS = 4
    """Set every counter to 0."""


class Status(IntFlag):
    """Bits of STATUS."""

    RUNNING = 1
    """a program is at work"""
    DONE = 2
    """the last program came to its HALT"""
    FAULT = 4
    """the last program was stopped; FAULT_CAUSE says why"""
    RESETTING = 8
    """a reset waits for outstanding memory transactions"""


class Interrupt(IntFlag):
    """Bits of INTERRUPT_ENABLE and INTERRUPT_PENDING (write 1 to clear)."""

    DONE = 1
    """a program came to its HALT"""
    FAULT = 2
    """a program was stopped"""


class Fault(IntEnum):
    """FAULT_CAUSE. FAULT_ADDRESS is the memory address, or the instruction index for the causes
    that name an instruction."""

    NONE = 0
    """no fault since the last start or reset"""
    ILLEGAL_INSTRUCTION = 1
    """unknown opcode or enumeration, reserved bit, misplaced loop end, or a program without HALT or
    longer than the instruction memory; FAULT_ADDRESS is the instruction's index"""
    ILLEGAL_OPERAND = 2
    """an operand out of its range (rows, counts of zero); FAULT_ADDRESS is the opcode"""
    UNALIGNED_ADDRESS = 3
    """not a multiple of beat_bytes (row numbers of a gather: of 4)"""
    ADDRESS_OUT_OF_RANGE = 4
    """outside REGION_BASE..REGION_LIMIT, or a write outside WRITE_BASE..WRITE_LIMIT"""
    READ_ERROR = 5
    """the memory answered a read with SLVERR or DECERR"""
    WRITE_ERROR = 6
    """the memory answered a write with SLVERR or DECERR"""
    TOKEN_OVERFLOW = 7
    """a dependency token was given more than 63 times; FAULT_ADDRESS is the token"""
    LOOP_OVERFLOW = 8
    """loops nested more than 4 deep; FAULT_ADDRESS is the instruction's index"""


class EngineState(IntEnum):
    """Bits 0-1 of an engine's register; bits 8-12 are the token waited for, bits 16-23 the
    instructions in its queue."""

    IDLE = 0
    """no instruction"""
    WAITING_TOKEN = 1
    """the next instruction waits for a dependency token"""
    BUSY = 2
    """an instruction is in work"""


@dataclass(frozen=True)
class Register:
    """A 32-bit register."""

    name: str
    offset: int
    access: Access
    doc: str


def _registers() -> tuple[Register, ...]:
    ro, rw, wo = Access.READ_ONLY, Access.READ_WRITE, Access.WRITE_ONLY
    return (
        Register("ID", 0x000, ro, "0x57454654, 'WEFT'"),
        Register("VERSION", 0x004, ro, "contract version, major in the upper half"),
        Register("FINGERPRINT_LOW", 0x008, ro, "configuration fingerprint, bits 0-31"),
        Register("FINGERPRINT_HIGH", 0x00C, ro, "configuration fingerprint, bits 32-63"),
        Register(
            "GEOMETRY", 0x010, ro, "array_cols (0-7), beat_bytes (8-15), activation_bits (16-23)"
        ),
        Register("CONTROL", 0x020, wo, "see Control"),
        Register("STATUS", 0x024, ro, "see Status"),
        Register("INTERRUPT_ENABLE", 0x028, rw, "see Interrupt"),
        Register("INTERRUPT_PENDING", 0x02C, rw, "see Interrupt; write 1 to clear"),
        Register("FAULT_CAUSE", 0x030, ro, "see Fault"),
        Register("FAULT_ADDRESS", 0x034, ro, "address or index of the first fault"),
        Register(
            "PROGRAM_BASE", 0x040, rw, "memory address of the first instruction, beat aligned"
        ),
        Register("PROGRAM_LENGTH", 0x044, rw, "instructions in the program"),
        Register("REGION_BASE", 0x048, rw, "first byte that the device may read"),
        Register("REGION_LIMIT", 0x04C, rw, "first byte after it"),
        Register("WRITE_BASE", 0x050, rw, "first byte that the device may write"),
        Register("WRITE_LIMIT", 0x054, rw, "first byte after it"),
        Register("PROGRAM_COUNTER", 0x058, ro, "instruction that the sequencer is at"),
        Register("ENGINE_SEQUENCER", 0x060, ro, "see EngineState"),
        Register("ENGINE_STREAM", 0x064, ro, "see EngineState"),
        Register("ENGINE_COMPUTE", 0x068, ro, "see EngineState"),
        Register("ENGINE_VECTOR", 0x06C, ro, "see EngineState"),
        Register("ENGINE_LOAD", 0x070, ro, "see EngineState"),
        Register("ENGINE_STORE", 0x074, ro, "see EngineState"),
        *(
            Register(f"SCALAR_{i}", 0x080 + 4 * i, rw, f"scalar register S{i}, written while idle")
            for i in range(N_SCALARS)
        ),
        *(
            Register(f"{name}_{half}", 0x100 + 8 * i + 4 * h, ro, f"{doc}, {half.lower()} word")
            for i, (name, doc) in enumerate(COUNTERS.items())
            for h, half in enumerate(("LOW", "HIGH"))
        ),
    )


COUNTERS: dict[str, str] = {
    "CYCLES": "cycles from start to done or fault",
    "BYTES_READ": "bytes received on the AXI read data channel",
    "BYTES_WRITTEN": "bytes with an active strobe sent on the AXI write data channel",
    "WRITE_BEATS": "beats sent on the AXI write data channel",
    "MAC_CYCLES": "cycles in which an activation row entered the array",
    "COMPUTE_BUSY": "cycles in which the compute unit had an instruction in work",
    "COMPUTE_WAIT_TOKEN": "cycles in which the compute unit waited for a dependency token",
    "COMPUTE_WAIT_WEIGHTS": "cycles in which the array waited for the weight buffer",
    "VECTOR_BUSY": "cycles in which the vector unit had an instruction in work",
    "VECTOR_WAIT_TOKEN": "cycles in which the vector unit waited for a dependency token",
    "STREAM_WAIT_SPACE": "cycles in which the weight stream waited for room in the weight buffer",
    "STREAM_WAIT_TOKEN": "cycles in which the weight stream waited for a dependency token",
    "STREAM_BYTES": "bytes that the weight stream received",
    "LOAD_BUSY": "cycles in which the load unit had an instruction in work",
    "STORE_BUSY": "cycles in which the store unit had an instruction in work",
    "READ_IDLE": "cycles of a run in which no read was outstanding",
}
"""64-bit counters and what they count."""

REGISTERS: dict[str, Register] = {r.name: r for r in _registers()}
"""Every register by name."""


def offset(name: str) -> int:
    """Byte offset of a register."""
    return REGISTERS[name].offset


def counter_offset(name: str) -> int:
    """Byte offset of a counter's low word."""
    return REGISTERS[f"{name}_LOW"].offset


def scalar_offset(index: int) -> int:
    """Byte offset of scalar register ``index``."""
    return REGISTERS[f"SCALAR_{index}"].offset
