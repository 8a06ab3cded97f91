# SPDX-License-Identifier: Apache-2.0
"""firmware/weft_arch.h: the contract for C."""

import dataclasses
import struct
import textwrap
from enum import IntEnum, IntFlag

from weft_arch import blocks, encoding, functions, isa, link, registers, soc
from weft_arch.config import BLOCK, PRESETS, Configuration
from weft_arch.generators.sources import constant_docs, member_docs, snake_case
from weft_arch.isa import COMMON_FIELDS, INSTRUCTIONS, FieldSpec
from weft_arch.layouts import KVLayout
from weft_arch.registers import COUNTERS, REGISTERS

__all__ = ["render"]

_LINE = 100
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
    parts += [_enumeration(kind) for kind in _KINDS]
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


def _define(name: str, value: int | str, doc: str = "") -> str:
    return _commented(f"#define WEFT_{name} {value}", doc)


def _commented(line: str, doc: str) -> str:
    """A line with its comment behind it, or above it where that would be too long."""
    if not doc:
        return line
    comment = f"/* {doc.replace('``', '').rstrip('.')} */"
    if len(line) + 1 + len(comment) <= _LINE:
        return f"{line} {comment}"
    indent = line[: len(line) - len(line.lstrip())]
    above = textwrap.fill(comment, _LINE, initial_indent=indent, subsequent_indent=f"{indent} * ")
    return f"{above}\n{line}"


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"/* {title} */", *lines, ""])


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
    return _block("Instructions", [_define(n, getattr(isa, n), docs.get(n, "")) for n in names])


def _enumeration(kind: type[IntEnum] | type[IntFlag]) -> str:
    docs, prefix = member_docs(kind), snake_case(kind.__name__)
    lines = [f"enum weft_{prefix} {{"]
    for member in kind:
        name = f"WEFT_{prefix.upper()}_{member.name}"
        value = f"{int(member):#04x}" if kind is isa.Opcode else f"{int(member)}"
        lines.append(_commented(f"    {name} = {value},", docs[str(member.name)]))
    return "\n".join([*lines, "};", ""])


def _fields(title: str, prefix: str, specs: tuple[FieldSpec, ...]) -> str:
    lines: list[str] = []
    for s in specs:
        name = f"{prefix}_{s.name.upper()}"
        lines.append(_define(f"{name}_OFFSET", s.offset, s.doc))
        lines.append(_define(f"{name}_WIDTH", s.width))
    return _block(title, lines)


def _image() -> str:
    lines = [
        _define("IMAGE_MAGIC", f"{int.from_bytes(encoding.IMAGE_MAGIC, 'little'):#010x}u"),
        _define("IMAGE_VERSION", encoding.IMAGE_VERSION),
    ]
    at = 0
    for name, code, doc in encoding.IMAGE_HEADER:
        lines.append(_define(f"IMAGE_{name.upper()}_OFFSET", at, doc))
        at += struct.calcsize("<" + code)
    return _block("Header of a program image", [*lines, _define("IMAGE_HEADER_BYTES", at)])


def _registers() -> str:
    lines = [
        _define("ID_VALUE", f"{registers.ID_VALUE:#010x}u"),
        _define("VERSION_VALUE", f"{registers.VERSION_VALUE:#010x}u"),
        _define("WINDOW_BYTES", f"{registers.WINDOW_BYTES:#x}"),
    ]
    counters = {f"{name}_{half}" for name in COUNTERS for half in ("LOW", "HIGH")}
    for r in REGISTERS.values():
        if r.name not in counters:
            lines.append(_define(f"REG_{r.name}", f"{r.offset:#05x}", r.doc))
    for name, doc in COUNTERS.items():
        for half in ("LOW", "HIGH"):
            offset = registers.offset(f"{name}_{half}")
            lines.append(_define(f"REG_{name}_{half}", f"{offset:#05x}", doc))
    return _block("Registers: byte offsets", lines)


def _link() -> str:
    docs = constant_docs(link.__name__)
    names = ("VERSION", "WINDOW", "PAYLOAD_BYTES", "REQUEST_BYTES", "ANSWER_BYTES")
    lines = [_define(f"LINK_{name}", getattr(link, name), docs.get(name, "")) for name in names]
    for prefix, fields in (
        ("REQUEST", link.REQUEST_HEADER),
        ("ANSWER_HEAD", link.ANSWER_HEAD),
        ("ANSWER_TAIL", link.ANSWER_TAIL),
        ("IDENTITY", link.IDENTITY_FIELDS),
    ):
        at = 0
        for name, code, doc in fields:
            lines.append(_define(f"LINK_{prefix}_{name.upper()}_OFFSET", at, doc))
            at += struct.calcsize("<" + code)
    return _block("The link between host and board: sizes and byte offsets", lines)


def _soc() -> str:
    docs = constant_docs(soc.__name__)
    lines = [
        _define("SOC_ID_VALUE", f"{soc.SOC_ID_VALUE:#010x}u"),
        _define("SOC_VERSION_VALUE", f"{soc.SOC_VERSION_VALUE:#010x}u"),
        _define("SOC_LINK_BASE", f"{soc.LINK_BASE:#x}", docs["LINK_BASE"]),
    ]
    for name in ("STAGE_MASK", "DETAIL_SHIFT", "JOBS_SHIFT"):
        lines.append(_define(f"BOOT_{name}", getattr(soc, f"BOOT_{name}"), docs[f"BOOT_{name}"]))
    expired = f"{soc.WATCHDOG_EXPIRED:#010x}u"
    lines.append(_define("BOOT_WATCHDOG_EXPIRED", expired, docs["WATCHDOG_EXPIRED"]))
    for area in soc.MEMORY_MAP:
        lines.append(_define(f"{area.name}_BASE", f"{area.base:#010x}u", area.doc))
        lines.append(_define(f"{area.name}_BYTES", f"{area.bytes:#x}u"))
    for r in soc.SOC_REGISTERS.values():
        name = r.name.removeprefix("SOC_")
        lines.append(_define(f"SOC_REG_{name}", f"{r.offset:#04x}", r.doc))
    return _block("The board's CPU: memory map, and byte offsets of its registers", lines)


def _formats() -> str:
    return _block(
        "Number formats",
        [
            _define("BLOCK", BLOCK, "values per block"),
            _define("KEY_BITS", blocks.KEY_BITS),
            _define("VALUE_BITS", blocks.VALUE_BITS),
            _define("MIN_EXPONENT", f"({blocks.MIN_EXPONENT})"),
            _define("KEY_MIN_EXPONENT", f"({blocks.KEY_MIN_EXPONENT})"),
            _define("SCORE_FRACTION_BITS", functions.SCORE_FRACTION_BITS),
        ],
    )


def _preset(config: Configuration) -> str:
    prefix = config.name.upper()
    lines = [_define(f"{prefix}_FINGERPRINT", f"{config.fingerprint:#018x}ull")]
    for field in dataclasses.fields(config):
        value: object = getattr(config, field.name)
        if isinstance(value, int):
            lines.append(_define(f"{prefix}_{field.name.upper()}", value))
    for bits in (8, 4):
        lines.append(_define(f"{prefix}_TILE_BYTES_W{bits}", config.tile_bytes(bits)))
    for k_blocks in range(1, _MOST_K_BLOCKS + 1):
        layout, doc = KVLayout(config, k_blocks), f"slots of {BLOCK * k_blocks} channels"
        name = f"{prefix}_KV{k_blocks}"
        lines.append(_define(f"{name}_KEY_BYTES", layout.key_bytes, doc))
        lines.append(_define(f"{name}_BLOCK_BYTES", layout.block_bytes))
    return _block(f"Preset {config.name}", lines)
