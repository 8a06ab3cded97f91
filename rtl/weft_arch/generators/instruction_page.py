# SPDX-License-Identifier: Apache-2.0
"""docs/instruction-set.md: what a newcomer reads before writing a program."""

import inspect
import struct
from enum import IntEnum

from weft_arch import encoding, isa, layouts
from weft_arch.generators.sources import markdown, member_table, refilled, snake_case, table_cell
from weft_arch.isa import COMMON_FIELDS, INSTRUCTIONS, Engine, FieldSpec, Instruction

__all__ = ["EXAMPLE", "render"]

EXAMPLE = """\
# y = W x: 64 floats in, 16 out, on an array of 8 columns
load           signal_a=t1  address=0x1000 count=1 words=8
vector         wait_a=t1 signal_a=t2  operation=copy to=activations count=1 words=8 group_words=4
stream_weights address=0x2000 count=4 format=w8
matmul         wait_a=t2 signal_a=t3  count=1 k_blocks=2 n_tiles=2 format=w8 destination=64
store          wait_a=t3  address=0x8000 count=1 words=2 source=64
halt
"""

_TITLE = "# Instruction set\n\n"
_INTRODUCTION = f"""
A weft program is a list of instructions that describe whole tensors. There is no instruction for
one number: a matrix product of any size, the attention of a head, the norm of a row are one or two
instructions each, and a transformer with any number of layers is a program of about a hundred.

Five **engines** work side by side, each on its own list. Here is a matrix-vector product; `weft
asm` turns such text into a program image and `weft disasm` turns it back. Names may be written in
either
case; what is left out is 0 unless a table below says otherwise.

```
{EXAMPLE}```

LOAD brings x into vector memory as floats. VECTOR quantises it into two blocks of 32 codes, which
is all that the array multiplies. STREAM_WEIGHTS asks for the tiles of W; it waits for nobody, so
the memory delivers them while x is still on its way. MATMUL consumes tiles and codes and leaves 16
floats in vector memory, from where STORE takes them.

## Tokens

Each engine runs its instructions in the order in which they stand in the program. Between engines
only **dependency tokens** order anything. A token is a counter from 0 to {isa.TOKEN_LIMIT}; there
are {isa.N_TOKENS}, called t1 to t{isa.N_TOKENS}. `signal_a=t1` adds one when the instruction's
effects
are complete (for stores: when the memory has acknowledged them). `wait_a=t1` takes one before the
instruction
starts, and blocks its engine while there is none. In the example t1 means "x is loaded", t2 "x is
quantised", t3 "y is there":

```
LOAD     [x] t1
VECTOR      t1 [quantise] t2
STREAM   [tiles of W .......]
COMPUTE               t2 [product] t3
STORE                           t3 [y]
```

A token that is given and never taken stays for the next program; counting one beyond
{isa.TOKEN_LIMIT} is a fault. Weight tiles need no token: MATMUL takes them in the order in which
STREAM_WEIGHTS asks for
them. The compiler proves for every program that its overlap equals its order
(`weft.compiler.hazards`).

## Weights that stay on the chip

A configuration with resident memory (`resident_bytes`) can keep tiles. A program of one
STREAM_WEIGHTS with `resident=keep` fetches them once; the programs after it name their places with
`resident=replay` where they would name an address, and read nothing. STREAM runs its instructions
in order, so keeping and replaying need no token between them:

```
stream_weights resident=keep address=0x2000 count=4     # to places 0 to 7
stream_weights resident=replay address=4 count=2        # the last two of them to the next MATMUL
```

What is kept stays from program to program, until RESET.

## Scalar registers and loops

What changes from step to step (position, rows in this chunk, addresses) is in {isa.N_SCALARS}
scalar registers of 32 bits, S0 to S{isa.N_SCALARS - 1}; S0 is always 0. The host writes them
before it
starts a program, SCALAR computes with them, and every instruction adds one to its `address` and
one to its `count`. So one
program serves every decode step. LOOP repeats the instructions behind it; loops nest
up to {isa.LOOP_DEPTH} deep.

The sequencer resolves the registers when it hands an instruction to its engine: what SCALAR writes
later does not change it.

## Units

| what | unit |
|---|---|
| vector memory | words of `lanes` floats (F24); `lanes` is the number of columns of the array |
| activation buffer | blocks of 32 codes with one exponent |
| resident memory | places, each with room for a 4-bit tile; an 8-bit tile takes two |
| row scalars | single floats, 256 of them |
| memory (DRAM) | bytes; addresses are multiples of the bus width unless an instruction says less |

Addresses on the chip wrap around at the end of their memory. Inside an instruction nothing defines
an order: no two of its results may go to the same place, and none to a place that another of its
results is still made from (the same place as its own operand is fine).

[Numerics](numerics.md) defines F24, quantisation and every function. [Registers](registers.md)
tells how the host starts a program and what a fault is.
"""

_ENGINES = {
    Engine.SEQUENCER: "Reads the program, keeps the loops and scalar registers, feeds the engines.",
    Engine.STREAM: "Reads weights and the KV cache into the weight buffer, ahead of their use.",
    Engine.COMPUTE: "The array, its accumulators and the softmax unit.",
    Engine.VECTOR: "Element-wise operations, sums over rows, and quantisation.",
    Engine.LOAD: "Reads memory into vector memory.",
    Engine.STORE: "Writes results to memory.",
}


def render() -> str:
    """The page."""
    parts = [_TITLE + refilled(_INTRODUCTION), _summary(), _common()]
    shown: set[type[IntEnum]] = set()
    for engine, doc in _ENGINES.items():
        parts.append(f"## The {engine.name} engine\n\n{doc}")
        parts.extend(_instruction(c, shown) for c in INSTRUCTIONS.values() if c().engine == engine)
    parts += [_image(), "## Tensors in memory\n\n" + markdown(_body(inspect.getdoc(layouts)))]
    return "\n\n".join(parts) + "\n"


def _body(doc: str | None) -> str:
    """A docstring without its first sentence."""
    assert doc
    return doc.partition("\n\n")[2]


def _summary() -> str:
    rows = ["| engine | instructions |", "|---|---|"]
    for engine in Engine:
        names = (c.opcode.name for c in INSTRUCTIONS.values() if c().engine == engine)
        links = ", ".join(f"[{n}](#{n.lower()})" for n in names)
        rows.append(f"| {engine.name} | {links} |")
    return "## All instructions\n\n" + "\n".join(rows)


def _common() -> str:
    first = [s for s in COMMON_FIELDS if s.offset < isa.ARGUMENT_BASE]
    text = f"""## Encoding

An instruction has {isa.INSTRUCTION_BYTES} bytes, little endian. The first {isa.ARGUMENT_BASE}
bits are the same in all; the instruction's own fields follow. Bits that no field owns must be 0: an
instruction with such a bit set, an unknown opcode or an undefined value of an enumeration is a
fault.
"""
    picture = "```\n" + "\n".join(_word(first, word) for word in range(4)) + "\n```"
    return "\n\n".join((refilled(text), picture, _fields(COMMON_FIELDS)))


def _word(specs: list[FieldSpec], word: int) -> str:
    """A drawing of 32 bits, most significant on the left."""
    cells: list[tuple[str, str]] = []
    at = 32 * word + 31
    while at >= 32 * word:
        owner = next((s for s in specs if s.offset <= at < s.offset + s.width), None)
        low = (
            owner.offset
            if owner
            else max([s.offset + s.width for s in specs if s.offset + s.width <= at], default=0)
        )
        low = max(low, 32 * word)
        name = owner.name if owner else ("own fields" if at >= isa.ARGUMENT_BASE else "0")
        bits = f"{at}" if at == low else f"{at}-{low}"
        cells.append((bits, name))
        at = low - 1
    widths = [max(len(bits), len(name)) for bits, name in cells]
    top = " ".join(f" {b:^{w}} " for (b, _), w in zip(cells, widths, strict=True))
    row = "|".join(f" {n:^{w}} " for (_, n), w in zip(cells, widths, strict=True))
    return f" {top.rstrip()}\n|{row}|"


def _instruction(cls: type[Instruction], shown: set[type[IntEnum]]) -> str:
    code = int(cls.opcode)
    parts = [f"### {cls.opcode.name}\n\nopcode {code:#04x}", markdown(inspect.getdoc(cls) or "")]
    specs = isa.field_specs(cls)
    if specs:
        parts.append(_fields(specs, cls))
    for kind in dict.fromkeys(s.kind for s in specs if s.kind is not None):
        if kind not in shown:
            shown.add(kind)
            parts.append(_enumeration(kind))
    return "\n\n".join(parts)


def _fields(specs: tuple[FieldSpec, ...], cls: type[Instruction] | None = None) -> str:
    rows = ["| bits | field | width | meaning |", "|---|---|---|---|"]
    for s in specs:
        bits = f"{s.offset}" if s.width == 1 else f"{s.offset}-{s.offset + s.width - 1}"
        doc = s.doc
        if s.kind is not None and s.kind is not isa.Opcode:
            doc += f": [{s.kind.__name__}](#{_anchor(s.kind)})"
        default = 0 if cls is None else int(getattr(cls(), s.name))
        if default:
            doc += f" (the assembler's default: {default})"
        rows.append(f"| {bits} | `{s.name}` | {s.width} | {table_cell(doc)} |")
    return "\n".join(rows)


def _anchor(kind: type[IntEnum]) -> str:
    return snake_case(kind.__name__).replace("_", "-")


def _enumeration(kind: type[IntEnum]) -> str:
    title = f'<a id="{_anchor(kind)}"></a>**{kind.__name__}**. {inspect.getdoc(kind)}'
    return f"{title}\n\n{member_table(kind)}"


def _image() -> str:
    rows = ["| byte | bytes | meaning |", "|---|---|---|"]
    at = 0
    for _, code, doc in encoding.IMAGE_HEADER:
        size = struct.calcsize("<" + code)
        rows.append(f"| {at} | {size} | {doc} |")
        at += size
    text = """## Program images

A file with a program begins with a header, little endian; the instructions follow. An image for
another configuration is refused."""
    return text + "\n\n" + "\n".join(rows)
