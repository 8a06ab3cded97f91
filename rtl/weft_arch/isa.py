# SPDX-License-Identifier: Apache-2.0
"""The instruction set. Every field is written down once, here.

An instruction is 32 bytes, little endian. `COMMON_FIELDS` are the same in all; an instruction's own
fields follow from bit `ARGUMENT_BASE` on, in the order of its class. Bits that no field owns are 0.

The sequencer runs HALT, FENCE, LOOP and SCALAR itself. It resolves the scalar registers of the
others (address + S[address_reg], count + S[count_reg], S[aux_a_reg], S[aux_b_reg]) and puts them in
the queue of their engine. Each engine runs its instructions in order; across engines only
dependency tokens order anything. A token is a counter: ``wait`` takes one (and blocks while there
is none), ``signal`` gives one when the instruction's effects are complete (stores: acknowledged by
the memory).

Units: vector memory addresses and strides are words of ``lanes`` floats; activation buffer
addresses and strides are blocks of 32 codes; memory (DRAM) addresses and strides are bytes.
Addresses on the chip wrap around at the end of their memory. Inside an instruction nothing defines
an order: no two of its results may go to the same place, and none to a place that another of its
results is still made from.
"""

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

__all__ = [
    "ARGUMENT_BASE",
    "COMMON_FIELDS",
    "ENGINES",
    "INSTRUCTIONS",
    "INSTRUCTION_BYTES",
    "LOOP_DEPTH",
    "N_SCALARS",
    "N_TOKENS",
    "POSITION_LIMIT",
    "TOKEN_LIMIT",
    "Activation",
    "Attend",
    "Codebook",
    "Engine",
    "Fence",
    "FieldSpec",
    "Halt",
    "InitMode",
    "Instruction",
    "Load",
    "LoadFormat",
    "Loop",
    "Matmul",
    "Opcode",
    "OperandB",
    "Reduce",
    "ReduceOp",
    "ReducePost",
    "Resident",
    "Scalar",
    "ScalarOp",
    "Store",
    "StoreKV",
    "StoreTopK",
    "StreamKV",
    "StreamWeights",
    "Vector",
    "VectorDestination",
    "VectorOp",
    "WeightFormat",
    "field_specs",
]

INSTRUCTION_BYTES = 32
N_SCALARS = 16
"""Scalar registers S0 to S15, 32 bits; S0 reads as 0."""
N_TOKENS = 31
"""Dependency tokens 1 to 31."""
TOKEN_LIMIT = 63
"""Largest count of a token; giving one more is a fault."""
LOOP_DEPTH = 4
"""Nested hardware loops."""
POSITION_LIMIT = 1 << 23
"""Positions and numbers of keys of an ATTEND are below this."""
ARGUMENT_BASE = 100
"""First bit of an instruction's own fields."""


class Engine(IntEnum):
    """Who runs an instruction."""

    SEQUENCER = 0
    STREAM = 1
    COMPUTE = 2
    VECTOR = 3
    LOAD = 4
    STORE = 5


ENGINES = tuple(engine for engine in Engine if engine is not Engine.SEQUENCER)
"""Those that have a queue of instructions, in the order of their indexes everywhere."""


class Opcode(IntEnum):
    """Instruction codes; bits 3 to 5 select the engine."""

    HALT = 0x00
    FENCE = 0x01
    LOOP = 0x02
    SCALAR = 0x03
    STREAM_WEIGHTS = 0x08
    STREAM_KV = 0x09
    MATMUL = 0x10
    ATTEND = 0x11
    CODEBOOK = 0x12
    VECTOR = 0x18
    REDUCE = 0x19
    LOAD = 0x20
    STORE = 0x28
    STORE_KV = 0x29
    STORE_TOP_K = 0x2A


class WeightFormat(IntEnum):
    """Codes of a weight tile."""

    W8 = 0
    """int8"""
    W4 = 1
    """4-bit codes through the codebook; byte j of a block holds code j (low) and j + 16 (high)"""


class Resident(IntEnum):
    """What STREAM_WEIGHTS does with the resident memory."""

    NONE = 0
    """nothing: from memory to the weight buffer"""
    KEEP = 1
    """from memory to the resident memory"""
    REPLAY = 2
    """from the resident memory to the weight buffer"""


class InitMode(IntEnum):
    """What a MATMUL's accumulators start from."""

    ZERO = 0
    VECTOR_MEMORY = 1


class VectorOp(IntEnum):
    """Element-wise operations of VECTOR."""

    COPY = 0
    """a"""
    ADD = 1
    """a + b"""
    SUB = 2
    """a - b"""
    MUL = 3
    """a * b"""
    ROPE = 4
    """a * c + swap(a) * s, see VECTOR"""
    ACTIVATE = 5
    """a * g(a), g chosen by ``activation``"""


class Activation(IntEnum):
    """The gate g of VectorOp.ACTIVATE."""

    SILU = 0
    GELU_TANH = 1
    GELU_ERF = 2


class OperandB(IntEnum):
    """Where operand b of VECTOR comes from."""

    VECTOR_MEMORY = 0
    ROW_SCALAR = 1
    """one F24 of the row scalar memory for all words of the inner loop"""
    IMMEDIATE = 2
    """the F24 pattern in address bits 0-23"""


class VectorDestination(IntEnum):
    """Where the results of VECTOR go."""

    VECTOR_MEMORY = 0
    ACTIVATIONS = 1
    """quantised to ``activation_bits`` into the activation buffer"""
    KEYS = 2
    """quantised to 8 bits for STORE_KV, exponent at least -14"""
    VALUES = 3
    """quantised to 8 bits for STORE_KV"""


class ReduceOp(IntEnum):
    """What REDUCE sums."""

    SUM = 0
    SUM_SQUARES = 1


class ReducePost(IntEnum):
    """What REDUCE does with sum * scale + offset."""

    NONE = 0
    RSQRT = 1
    RECIPROCAL = 2


class ScalarOp(IntEnum):
    """Operations of SCALAR on 32-bit unsigned values, wrapping."""

    ADD = 0
    """S[address_reg] + S[count_reg] + address"""
    MUL = 1
    """S[address_reg] * address (low 32 bits)"""
    SHIFT_RIGHT = 2
    """S[address_reg] >> (address mod 32)"""
    AND = 3
    """S[address_reg] & address"""
    SUB = 4
    """S[address_reg] - S[count_reg] - address"""
    MIN = 5
    """min(S[address_reg], S[count_reg] + address), unsigned"""
    MAX = 6
    """max(S[address_reg], S[count_reg] + address), unsigned"""


class LoadFormat(IntEnum):
    """Element formats of LOAD and STORE in memory."""

    F32 = 0
    F16 = 1
    """LOAD only"""
    Q8 = 2
    """LOAD only: a row is its float16 scales (one per 32 values), padded with zeros to whole beats,
    then its int8 codes; an element is round(code * scale)"""


@dataclass(frozen=True)
class FieldSpec:
    """A bit field: ``offset`` from bit 0 of the instruction, ``width`` in bits."""

    name: str
    offset: int
    width: int
    doc: str
    kind: type[IntEnum] | None = None

    @property
    def limit(self) -> int:
        """Largest value."""
        return (1 << self.width) - 1


def _bits(width: int, doc: str, kind: type[IntEnum] | None = None, default: int = 0) -> Any:
    value = kind(default) if kind is not None else default
    return dataclasses.field(default=value, metadata={"width": width, "doc": doc, "kind": kind})


COMMON_FIELDS: tuple[FieldSpec, ...] = (
    FieldSpec("opcode", 0, 6, "instruction code", Opcode),
    FieldSpec("wait_a", 6, 5, "dependency token to take first, 0: none"),
    FieldSpec("wait_b", 11, 5, "second dependency token to take first, 0: none"),
    FieldSpec("signal_a", 16, 5, "dependency token to give at the end, 0: none"),
    FieldSpec("signal_b", 21, 5, "second dependency token to give at the end, 0: none"),
    FieldSpec("address_reg", 26, 4, "scalar register added to address"),
    FieldSpec("address", 32, 32, "immediate, see the instruction"),
    FieldSpec("count", 64, 24, "immediate, see the instruction"),
    FieldSpec("count_reg", 88, 4, "scalar register added to count"),
    FieldSpec("aux_a_reg", 92, 4, "scalar register read as aux_a"),
    FieldSpec("aux_b_reg", 96, 4, "scalar register read as aux_b"),
)


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """The common fields; one subclass per opcode."""

    opcode: ClassVar[Opcode]
    wait_a: int = 0
    wait_b: int = 0
    signal_a: int = 0
    signal_b: int = 0
    address_reg: int = 0
    address: int = 0
    count: int = 0
    count_reg: int = 0
    aux_a_reg: int = 0
    aux_b_reg: int = 0

    @property
    def engine(self) -> Engine:
        """Who runs it."""
        return Engine(self.opcode >> 3)


@dataclass(frozen=True, kw_only=True)
class Halt(Instruction):
    """Wait until every engine is idle, set status ``done`` and raise the interrupt."""

    opcode = Opcode.HALT


@dataclass(frozen=True, kw_only=True)
class Fence(Instruction):
    """Wait until every queue is empty and every engine idle, then go on."""

    opcode = Opcode.FENCE


@dataclass(frozen=True, kw_only=True)
class Loop(Instruction):
    """Run the instructions from the next one up to ``body_end`` (exclusive) ``count +
    S[count_reg]`` times; not at all when that is 0. Loops nest up to 4 deep.

    ``body_end`` lies behind the loop and, in a loop around it, before that one's ``body_end``;
    anything else is an illegal instruction. So no two loops end at the same place: between their
    ends stands another instruction, at least a SCALAR that does nothing."""

    opcode = Opcode.LOOP
    body_end: int = _bits(12, "index of the first instruction after the loop")


@dataclass(frozen=True, kw_only=True)
class Scalar(Instruction):
    """S[destination] = operation(S[address_reg], S[count_reg], address). Takes effect before the
    next instruction is resolved; instructions already queued keep their values."""

    opcode = Opcode.SCALAR
    operation: ScalarOp = _bits(4, "what to compute", ScalarOp)
    destination: int = _bits(4, "register to write; 0 discards")


@dataclass(frozen=True, kw_only=True)
class StreamWeights(Instruction):
    """Read ``count`` weight tiles, contiguous from ``address``, into the weight buffer.

    A tile is ``array_cols`` float16 scales, then ``array_cols`` blocks of 32 codes (32 bytes for
    W8, 16 for W4). Tiles are consumed by MATMUL in the same order. Done when the last beat is in
    the buffer.

    With ``resident`` = KEEP the tiles go to the resident memory, to places from aux_a on, and no
    MATMUL gets them; with REPLAY nothing is read from memory: ``address`` is a place, and the
    ``count`` tiles that are kept from there on go to the weight buffer. A place holds one 4-bit
    tile; an 8-bit tile takes two, its scales in the first. The last of them is below
    resident_bytes / (16 * array_cols). What places hold after a reset is not defined. A
    configuration without resident memory has no such field: KEEP and REPLAY are illegal
    instructions there."""

    opcode = Opcode.STREAM_WEIGHTS
    format: WeightFormat = _bits(2, "code format", WeightFormat)
    resident: Resident = _bits(2, "from or to the resident memory", Resident)


@dataclass(frozen=True, kw_only=True)
class StreamKV(Instruction):
    """Read the key and value blocks of one KV slot into the weight buffer, for one ATTEND.

    B = ceil(``count`` / 32) kv blocks, contiguous from ``address``, each a key part (32 value
    exponents as int8, then 32/array_cols * k_blocks W8 tiles, twice as many with ``wide_keys``) and
    a value part (32*k_blocks blocks
    of 32 int8 codes, one per channel, no scales). Order: K0, K1, V0, K2, V1, ... K(B-1), V(B-2),
    V(B-1), which is the order in which ATTEND consumes them."""

    opcode = Opcode.STREAM_KV
    k_blocks: int = _bits(4, "blocks of 32 channels in a slot, at least 1")
    wide_keys: int = _bits(1, "the slot's keys are in two planes")


@dataclass(frozen=True, kw_only=True)
class Matmul(Instruction):
    """out[m, n] = init[m, n] + sum over k of activations[m, k] * weights[n, k], F24.

        for n in range(n_tiles):            # array_cols output channels each
            for k in range(k_blocks):       # 32 input channels each; pops one weight tile
                for m in range(rows):       # rows = count + S[count_reg], 1 to max_rows
                    activation block: address + m * activation_stride + k
            out word (m, n): destination + m * destination_stride + n

    ``address`` + S[address_reg] is the first activation block. The initial value of word (m, n)
    is zero or vector memory word initial + m * initial_stride + n (it may be the destination
    itself: accumulate in place, residual; or stride 0: bias). With ``to_top_k`` each output also
    enters the top-k list under the index n * array_cols + lane of its own (rows must be 1), which
    the instruction clears first when ``clear_top_k``; indexes start at ``top_k_base``, and only
    those below ``top_k_limit`` enter."""

    opcode = Opcode.MATMUL
    format: WeightFormat = _bits(2, "code format of the tiles", WeightFormat)
    activation_stride: int = _bits(10, "blocks from row to row")
    k_blocks: int = _bits(10, "blocks along the reduction, at least 1")
    n_tiles: int = _bits(16, "tiles of output channels, at least 1")
    init: InitMode = _bits(1, "what the accumulators start from", InitMode)
    initial: int = _bits(14, "vector memory word of the initial value")
    initial_stride: int = _bits(12, "words from row to row")
    to_vector_memory: int = _bits(1, "write the output words", default=1)
    destination: int = _bits(14, "vector memory word of the output")
    destination_stride: int = _bits(12, "words from row to row")
    to_top_k: int = _bits(1, "send the outputs to the top-k unit")
    clear_top_k: int = _bits(1, "empty the top-k list first")
    top_k_base: int = _bits(18, "index of the first output channel")
    top_k_limit: int = _bits(18, "first index that does not enter")


@dataclass(frozen=True, kw_only=True)
class Attend(Instruction):
    """Attention of ``count + S[count_reg]`` query rows over one KV slot, online softmax in base 2.

    Query row m (activation block ``address + m * activation_stride + k``) belongs to position
    aux_a + m // rows_per_position and sees keys 0 to limit - 1, limit = position + 1 when
    ``causal`` and aux_b otherwise; aux_b is the number of keys to go through (the ``count`` of the
    STREAM_KV, at least 1). For each kv block of 32 keys, with s = the query's dot products in F24
    (blocks in order, accumulated as MATMUL does):

        fixed  = to_fixed(s, 12, 24)                                 (log2 units)
        m_new  = max(m_old, ceil(max over visible keys of fixed / 4096))
        p      = 2**(fixed/4096 - m_new), 0 if not visible           (EXP2 table, Q0.16 >> integer)
        sum    = sum * 2**(m_old - m_new) + F24(sum of p as Q0.24)   (each rounded to F24)
        P      = quantize(p * 2**value_exponent, activation_bits)
        out    = out * 2**(m_old - m_new) + accumulate(P . V)        (F24, one block)

    The first block has m_old = m_new, sum = out = 0; a block with no visible key changes nothing.
    ``out`` (not yet divided) goes to vector memory words destination + m * destination_stride +
    channel word; reciprocal(sum) to row scalar ``row_scalar`` + m. P is kept in activation blocks
    probabilities + m and probabilities + rows + m (two buffers, alternating by kv block).

    With ``wide_keys`` every activation block k of a query meets two key tiles, the high plane of
    its channels and then the low one, which are two blocks in the order of the dot product. All
    instructions of a slot must have the same ``k_blocks`` and ``wide_keys``: the hardware does not
    compare them."""

    opcode = Opcode.ATTEND
    activation_stride: int = _bits(10, "blocks from query row to query row")
    k_blocks: int = _bits(4, "blocks of 32 channels in a slot, 1 to 8")
    rows_per_position: int = _bits(6, "query rows that share a position, at least 1")
    causal: int = _bits(1, "a query sees keys up to its own position")
    probabilities: int = _bits(14, "activation block where probabilities are kept")
    destination: int = _bits(14, "vector memory word of the output")
    destination_stride: int = _bits(12, "words from query row to query row")
    row_scalar: int = _bits(8, "row scalar of the first query row")
    wide_keys: int = _bits(1, "the slot's keys are in two planes")


@dataclass(frozen=True, kw_only=True)
class Codebook(Instruction):
    """Set the 16 int8 entries that 4-bit codes stand for, for the MATMULs after it."""

    opcode = Opcode.CODEBOOK
    entries_low: int = _bits(64, "entries 0 to 7, entry 0 in the lowest byte")
    entries_high: int = _bits(64, "entries 8 to 15")


@dataclass(frozen=True, kw_only=True)
class Vector(Instruction):
    """destination[o, i, w] = operation(a[o, i, w], b[o, i, w]) in F24, words of ``lanes``.

        for o in range(count + S[count_reg]):
            for i in range(inner):
                for w in range(words):
                    a: vector memory word a + o * a_outer + i * a_inner + w
                    b: vector memory word b + o * b_outer + i * b_inner + w, or the row scalar
                       b + o * b_outer + i * b_inner, or the immediate
                    d: word or block d + o * d_outer + i * d_inner + (w or group index)

    ROPE: c is the word of b as above (in vector memory), s the word ``address`` further on (address
    bits 0-13); a's lanes 2j and 2j + 1 change places in swap(a), signs are in s. result =
    round(round(a * c) + round(swap(a) * s)).

    Quantising destinations collect ``group_words`` words (32 values for ACTIVATIONS and KEYS, a
    whole slot for VALUES) into one group with one exponent; ``words`` must be a multiple of it,
    unless ``fill`` is set: then each inner iteration makes one group, of ``words`` words placed
    ``group_offset`` words into a group that is zero elsewhere. ACTIVATIONS writes group g of an
    inner iteration to block d + ... + g. KEYS and VALUES go to STORE_KV in order; d is not used.

    KEYS with ``wide_keys`` makes two groups of each, `blocks.key_planes`: the high plane, whose
    exponent is at least -7, and the low plane, whose exponent is 7 less."""

    opcode = Opcode.VECTOR
    operation: VectorOp = _bits(3, "what to compute", VectorOp)
    activation: Activation = _bits(2, "gate of ACTIVATE", Activation)
    operand_b: OperandB = _bits(2, "where b comes from", OperandB)
    to: VectorDestination = _bits(2, "where results go", VectorDestination)
    words: int = _bits(10, "innermost iterations, at least 1")
    inner: int = _bits(7, "middle iterations, at least 1", default=1)
    a: int = _bits(14, "word of operand a")
    b: int = _bits(14, "word or row scalar of operand b")
    d: int = _bits(14, "word or block of the destination")
    a_outer: int = _bits(11, "words")
    a_inner: int = _bits(11, "words")
    b_outer: int = _bits(11, "words or row scalars")
    b_inner: int = _bits(11, "words or row scalars")
    d_outer: int = _bits(11, "words or blocks")
    d_inner: int = _bits(11, "words or blocks")
    group_words: int = _bits(6, "words per quantised group, 1 to 32")
    fill: int = _bits(1, "one zero-filled group per inner iteration")
    group_offset: int = _bits(5, "first word inside the zero-filled group")
    wide_keys: int = _bits(1, "KEYS: in two planes")


@dataclass(frozen=True, kw_only=True)
class Reduce(Instruction):
    """row_scalar[d + o * d_outer + i * d_inner] = post(reduction over w * scale + offset).

    The loops are VECTOR's; the reduction is `blocks.reduce_sum` over the words * lanes values
    (SUM_SQUARES: each squared and rounded first). ``address`` bits 0-23 are the F24 pattern of
    scale; multiplication and addition round to F24 each."""

    opcode = Opcode.REDUCE
    operation: ReduceOp = _bits(2, "what is summed", ReduceOp)
    post: ReducePost = _bits(2, "function of the result", ReducePost)
    words: int = _bits(10, "words per reduction, at least 1")
    inner: int = _bits(7, "middle iterations, at least 1", default=1)
    a: int = _bits(14, "word of operand a")
    a_outer: int = _bits(11, "words")
    a_inner: int = _bits(11, "words")
    d: int = _bits(8, "first row scalar")
    d_outer: int = _bits(8, "row scalars")
    d_inner: int = _bits(8, "row scalars")
    offset: int = _bits(24, "F24 pattern added after scaling")


@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Rows of memory to vector memory: row r of ``count + S[count_reg]`` rows, ``words`` words
    each, from address + r * row_bytes to word destination + r * destination_stride.

    With ``gather`` row r comes from address + id[r] * row_bytes, where id[r] is the little endian
    u32 at aux_a + 4 * r (aux_a need only be a multiple of 4)."""

    opcode = Opcode.LOAD
    format: LoadFormat = _bits(2, "element format in memory", LoadFormat)
    gather: int = _bits(1, "row numbers come from memory")
    words: int = _bits(12, "vector memory words per row, at least 1")
    destination: int = _bits(14, "vector memory word of row 0")
    destination_stride: int = _bits(12, "words from row to row")
    row_bytes: int = _bits(24, "bytes from row to row")


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Rows of vector memory to memory as F32: the mirror image of LOAD."""

    opcode = Opcode.STORE
    words: int = _bits(12, "vector memory words per row, at least 1")
    source: int = _bits(14, "vector memory word of row 0")
    source_stride: int = _bits(12, "words from row to row")
    row_bytes: int = _bits(24, "bytes from row to row")


@dataclass(frozen=True, kw_only=True)
class StoreKV(Instruction):
    """Write quantised keys or values, as they come from VECTOR, into the KV cache.

        for r in range(count + S[count_reg]):       # position aux_a + r
            for s in range(slots):                  # slot base: address + s * slot_bytes
                keys: k_blocks groups of 32 codes; values: one group of 32 * k_blocks codes

    With ``wide_keys`` the slots have keys in two planes; keys are 2 * k_blocks groups then. See
    `weft_arch.layouts` for where the bytes go. Done when the memory has acknowledged all."""

    opcode = Opcode.STORE_KV
    values: int = _bits(1, "0: keys, 1: values")
    k_blocks: int = _bits(4, "blocks of 32 channels in a slot, at least 1")
    slots: int = _bits(8, "KV slots, at least 1")
    slot_bytes: int = _bits(32, "bytes from slot to slot")
    wide_keys: int = _bits(1, "the slots' keys are in two planes")


@dataclass(frozen=True, kw_only=True)
class StoreTopK(Instruction):
    """Write the top-k list to ``address``: top_k_entries pairs (value as F32, index as u32),
    largest value first, of equal values the lower index first; unused entries are (-MAX,
    0xFFFFFFFF)."""

    opcode = Opcode.STORE_TOP_K


INSTRUCTIONS: dict[Opcode, type[Instruction]] = {
    c.opcode: c
    for c in (
        Halt,
        Fence,
        Loop,
        Scalar,
        StreamWeights,
        StreamKV,
        Matmul,
        Attend,
        Codebook,
        Vector,
        Reduce,
        Load,
        Store,
        StoreKV,
        StoreTopK,
    )
}
"""The class of each opcode."""


def field_specs(instruction: type[Instruction]) -> tuple[FieldSpec, ...]:
    """The instruction's own fields with their bit positions, after the common ones."""
    offset = ARGUMENT_BASE
    specs: list[FieldSpec] = []
    for f in dataclasses.fields(instruction):
        if "width" not in f.metadata:
            continue
        width = f.metadata["width"]
        specs.append(FieldSpec(f.name, offset, width, f.metadata["doc"], f.metadata["kind"]))
        offset += width
    if offset > 8 * INSTRUCTION_BYTES:
        raise ValueError(f"{instruction.__name__} needs {offset} bits; an instruction has 256")
    return tuple(specs)
