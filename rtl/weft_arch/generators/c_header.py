# SPDX-License-Identifier: Apache-2.0
"""firmware/weft_arch.h: the contract for C."""

import dataclasses
import struct
from enum import IntEnum, IntFlag

from weft_arch import blocks, encoding, functions, isa, link, registers, soc
from weft_arch.config import BLOCK, PRESETS, Configuration
from weft_arch.generators.c_text import block, define, enumeration, struct_fields
from weft_arch.generators.sources import constant_docs
from weft_arch.isa import COMMON_FIELDS, INSTRUCTIONS, FieldSpec
from weft_arch.layouts import KVLayout
from weft_arch.registers import COUNTERS, REGISTERS

__all__ = ["render"]

_MOST_K_BLOCKS = 4
_KINDS: tuple[type[IntEnum] | type[IntFlag], ...] = (
    isa.Engine,
    isa.Opcode,
    isa.WeightFormat,
    isa.InitMode,
    isa.VectorOp,
    isa.Activation,
    isa.OperandB,
    isa.VectorDestination,
    isa.ReduceOp,
    isa.ReducePost,
    isa.ScalarOp,
    isa.LoadFormat,
    registers.Control,
    registers.Status,
    registers.Interrupt,
    registers.Fault,
    registers.EngineState,
    link.LinkOpcode,
    link.LinkStatus,
    soc.CpuControl,
    soc.SocInterrupt,
    soc.BootStage,
)
_HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m weft_arch.generate` from the Python package weft_arch; do not edit.
 *
 * docs/instruction-set.md, docs/registers.md and docs/soc.md say what it all means. */
#ifndef WEFT_ARCH_H
#define WEFT_ARCH_H

#include <stdint.h>
"""
_HELPERS = """\
/* An instruction under construction; start from all zeros. */
typedef struct {
    uint32_t word[WEFT_INSTRUCTION_BYTES / 4];
} weft_instruction;

/* Set bits offset to offset + width - 1; they must be 0 before. */
static inline void weft_set_field(weft_instruction *instruction, unsigned offset, unsigned width,
                                  uint64_t value)
{
    for (unsigned bit = 0; bit < width; bit++)
        instruction->word[(offset + bit) / 32] |= (uint32_t)(value >> bit & 1)
                                                  << (offset + bit) % 32;
}

/* WEFT_SET(&i, WEFT_MATMUL_K_BLOCKS, 4) sets a field by its name. */
#define WEFT_SET(instruction, field, value) \\
    weft_set_field((instruction), field##_OFFSET, field##_WIDTH, (value))

#endif
"""


def render() -> str:
    """The header."""
    parts = [_HEAD, _instruction_constants()]
    parts += [enumeration(kind, hexadecimal=kind is isa.Opcode) for kind in _KINDS]
    parts.append(
        _fields("Fields of every instruction: first bit and width", "FIELD", COMMON_FIELDS)
    )
    for opcode, cls in INSTRUCTIONS.items():
        specs = isa.field_specs(cls)
        if specs:
            parts.append(_fields(f"Fields of {opcode.name}", opcode.name, specs))
    parts += [_image(), _registers(), _link(), _soc(), _formats()]
    parts += [_preset(config) for config in PRESETS.values()]
    return "\n".join([*parts, _HELPERS])


def _instruction_constants() -> str:
    docs = constant_docs(isa.__name__)
    names = (
        "INSTRUCTION_BYTES",
        "N_SCALARS",
        "N_TOKENS",
        "TOKEN_LIMIT",
        "LOOP_DEPTH",
        "POSITION_LIMIT",
    )
    return block("Instructions", [define(n, getattr(isa, n), docs.get(n, "")) for n in names])


def _fields(title: str, prefix: str, specs: tuple[FieldSpec, ...]) -> str:
    lines: list[str] = []
    for s in specs:
        name = f"{prefix}_{s.name.upper()}"
        lines.append(define(f"{name}_OFFSET", s.offset, s.doc))
        lines.append(define(f"{name}_WIDTH", s.width))
    return block(title, lines)


def _image() -> str:
    lines = [
        define("IMAGE_MAGIC", f"{int.from_bytes(encoding.IMAGE_MAGIC, 'little'):#010x}u"),
        define("IMAGE_VERSION", encoding.IMAGE_VERSION),
    ]
    lines += struct_fields("IMAGE", encoding.IMAGE_HEADER)
    size = struct.calcsize("<" + "".join(code for _, code, _ in encoding.IMAGE_HEADER))
    return block("Header of a program image", [*lines, define("IMAGE_HEADER_BYTES", size)])


def _registers() -> str:
    lines = [
        define("ID_VALUE", f"{registers.ID_VALUE:#010x}u"),
        define("VERSION_VALUE", f"{registers.VERSION_VALUE:#010x}u"),
        define("WINDOW_BYTES", f"{registers.WINDOW_BYTES:#x}"),
    ]
    counters = {f"{name}_{half}" for name in COUNTERS for half in ("LOW", "HIGH")}
    for r in REGISTERS.values():
        if r.name not in counters:
            lines.append(define(f"REG_{r.name}", f"{r.offset:#05x}", r.doc))
    for name, doc in COUNTERS.items():
        for half in ("LOW", "HIGH"):
            offset = registers.offset(f"{name}_{half}")
            lines.append(define(f"REG_{name}_{half}", f"{offset:#05x}", doc))
    return block("Registers: byte offsets", lines)


def _link() -> str:
    docs = constant_docs(link.__name__)
    names = ("VERSION", "WINDOW", "PAYLOAD_BYTES", "REQUEST_BYTES", "ANSWER_BYTES")
    lines = [define(f"LINK_{name}", getattr(link, name), docs.get(name, "")) for name in names]
    for prefix, fields in (
        ("REQUEST", link.REQUEST_HEADER),
        ("ANSWER_HEAD", link.ANSWER_HEAD),
        ("ANSWER_TAIL", link.ANSWER_TAIL),
        ("IDENTITY", link.IDENTITY_FIELDS),
    ):
        lines += struct_fields(f"LINK_{prefix}", fields)
    return block("The link between host and board: sizes and byte offsets", lines)


def _soc() -> str:
    docs = constant_docs(soc.__name__)
    lines = [
        define("SOC_ID_VALUE", f"{soc.SOC_ID_VALUE:#010x}u"),
        define("SOC_VERSION_VALUE", f"{soc.SOC_VERSION_VALUE:#010x}u"),
        define("SOC_LINK_BASE", f"{soc.LINK_BASE:#x}", docs["LINK_BASE"]),
    ]
    for name in ("STAGE_MASK", "DETAIL_SHIFT", "JOBS_SHIFT"):
        lines.append(define(f"BOOT_{name}", getattr(soc, f"BOOT_{name}"), docs[f"BOOT_{name}"]))
    expired = f"{soc.WATCHDOG_EXPIRED:#010x}u"
    lines.append(define("BOOT_WATCHDOG_EXPIRED", expired, docs["WATCHDOG_EXPIRED"]))
    for area in soc.MEMORY_MAP:
        lines.append(define(f"{area.name}_BASE", f"{area.base:#010x}u", area.doc))
        lines.append(define(f"{area.name}_BYTES", f"{area.bytes:#x}u"))
    for r in soc.SOC_REGISTERS.values():
        name = r.name.removeprefix("SOC_")
        lines.append(define(f"SOC_REG_{name}", f"{r.offset:#04x}", r.doc))
    return block("The board's CPU: memory map, and byte offsets of its registers", lines)


def _formats() -> str:
    return block(
        "Number formats",
        [
            define("BLOCK", BLOCK, "values per block"),
            define("KEY_BITS", blocks.KEY_BITS),
            define("VALUE_BITS", blocks.VALUE_BITS),
            define("MIN_EXPONENT", f"({blocks.MIN_EXPONENT})"),
            define("KEY_MIN_EXPONENT", f"({blocks.KEY_MIN_EXPONENT})"),
            define("SCORE_FRACTION_BITS", functions.SCORE_FRACTION_BITS),
        ],
    )


def _preset(config: Configuration) -> str:
    prefix = config.name.upper()
    lines = [define(f"{prefix}_FINGERPRINT", f"{config.fingerprint:#018x}ull")]
    for field in dataclasses.fields(config):
        value: object = getattr(config, field.name)
        if isinstance(value, int):
            lines.append(define(f"{prefix}_{field.name.upper()}", value))
    for bits in (8, 4):
        lines.append(define(f"{prefix}_TILE_BYTES_W{bits}", config.tile_bytes(bits)))
    for k_blocks in range(1, _MOST_K_BLOCKS + 1):
        layout, doc = KVLayout(config, k_blocks), f"slots of {BLOCK * k_blocks} channels"
        name = f"{prefix}_KV{k_blocks}"
        lines.append(define(f"{name}_KEY_BYTES", layout.key_bytes, doc))
        lines.append(define(f"{name}_BLOCK_BYTES", layout.block_bytes))
    return block(f"Preset {config.name}", lines)
