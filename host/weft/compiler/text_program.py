# SPDX-License-Identifier: Apache-2.0
"""The program for texts of several chunks through an encoder: the bits of `EncoderProgram`, with
more rows at once, and with the array busy while the vector unit works on a norm.

One pass per layer and chunk. While a norm goes on, the array makes what another one needs::

    array    attention, wo | keys, values of the    | w_up, w_down | queries of    | attention ...
                           | chunk before, for the  |              | the next      |
    vector                 | next layer:  norm      |              | chunk:  norm  |

The queries of the last chunk's successor are those of the first chunk in the next layer; keys and
values of the last chunk come by themselves, and all that the next layer reads is in memory then.
"""

from itertools import chain

from weft.compiler.conventions import (
    ENCODER_CHUNK_ROWS,
    Register,
    Token,
    even_chunks,
)
from weft.compiler.feed_forward import ACTIVATIONS
from weft.compiler.text_attention import TextAttention
from weft.compiler.text_blocks import (
    LAYERS_LEFT,
    NEXT_PARAMETERS,
    NEXT_POSITION,
    NEXT_ROWS,
    NEXT_WEIGHTS,
    POSITIONS_FREE,
    SLICE_FREE,
    X_READ,
)
from weft.compiler.weight_parts import WeightPart
from weft_arch.config import BLOCK
from weft_arch.isa import (
    Fence,
    Halt,
    Instruction,
    Load,
    LoadFormat,
    Scalar,
    ScalarOp,
    Vector,
    VectorOp,
)

__all__ = ["TextProgram"]

MOST_RUNS = 32
"""Runs of tiles, each with an instruction of its own, before the product that takes them: as in the
program for long prompts."""


class TextProgram(TextAttention):
    """Rows are all positions of a text, CONTEXT of them, in two chunks or more."""

    def emit(self) -> list[Instruction]:
        """All instructions."""
        ahead = self.memory.layer_weight_bytes, self.memory.layer_kv_bytes
        self.beginning()
        layers = self.open_loop(count=self.model.n_layers)
        self.add(Fence())
        self.load_layer()
        with self.chunks(fence=False):
            self.layer_of_chunk(*ahead)
        with self.where(LAYERS_LEFT):
            self.keys_values_of_last(*ahead)
            self.add(self.compute(LAYERS_LEFT, ScalarOp.SUB, LAYERS_LEFT, 1))
        self.advance()
        self.close_loop(layers)
        self.add(
            Fence(),
            Vector(wait_a=SLICE_FREE, words=1),
            Vector(wait_a=SLICE_FREE, wait_b=Token.X, words=1),
            Halt(),
        )
        return self.program

    def beginning(self) -> None:
        """Registers, embedding, keys and values of the first layer, and what its first chunk begins
        with."""
        r = Register
        self.add(
            Scalar(destination=r.ROWS, address_reg=ENCODER_CHUNK_ROWS),
            Scalar(destination=r.WEIGHTS, address=self.weight_address(0)),
            Scalar(destination=r.PARAMETERS, address=self.layer_parameters(0)),
            Scalar(destination=LAYERS_LEFT, address=self.model.n_layers - 1),
        )
        self.set_rows()
        self.add(
            *self.codebook(),
            Vector(signal_a=Token.X_FREE, signal_b=X_READ, words=1),
            Vector(signal_a=SLICE_FREE, words=1),
            Vector(signal_a=SLICE_FREE, words=1),
        )
        self.load_biases("kv_biases", ("wk", "wv"), r.PARAMETERS, 0)
        address = self.memory.regions["parameters"].base
        words = self.memory.parameters.embedding.words
        self.add(
            self.load_words(self.parameter("a"), 0, words, 0, address, signal_a=Token.PARAMETERS_A),
            Vector(wait_a=Token.PARAMETERS_A, words=1),
        )
        with self.chunks(fence=False):
            self.embedding_of_chunk()
        self.add(
            Scalar(destination=NEXT_POSITION),
            Scalar(destination=NEXT_ROWS, address_reg=ENCODER_CHUNK_ROWS),
            Scalar(destination=NEXT_WEIGHTS, address_reg=r.WEIGHTS),
            Scalar(destination=NEXT_PARAMETERS, address_reg=r.PARAMETERS),
        )
        self.stage()
        queries = self.next_queries()
        self.add(*queries.first, *chain.from_iterable(queries.steps))
        self.load_next_x()
        self.keys_values_of_last(0, 0)

    def embedding_of_chunk(self) -> None:
        """x of a chunk to memory, and as codes; keys and values of the chunk before."""
        r, block = Register, self.memory.parameters.embedding
        before = self.keys_values_of(ENCODER_CHUNK_ROWS, 0, 0)
        self.begin(before, (r.POSITION,))
        words = self.words(self.model.dim)
        self.ids_of_rows("ids")
        self.add(
            Load(
                wait_a=Token.X_FREE,
                wait_b=X_READ,
                address=self.memory.regions["embedding"].base,
                aux_a_reg=r.ADDRESS,
                count_reg=r.ROWS,
                format=self.memory.embedding,
                gather=1,
                words=words,
                destination=self.chip.vector["x"].base,
                destination_stride=words,
                row_bytes=self.memory.row_bytes,
            )
        )
        rows = self.rows_of_positions(self.memory.position_row_bytes)
        firsts = range(0, words, self.chip.position_words)
        for number, first in enumerate(firsts):
            size = min(self.chip.position_words, words - first)
            x, place = self.chip.vector["x"].base + first, self._positions(number)
            self.add(
                Load(
                    wait_a=POSITIONS_FREE if number > 1 else 0,
                    signal_a=Token.EMBEDDED,
                    address=self.memory.regions["position_embedding"].base
                    + first * 4 * self.config.lanes,
                    count_reg=r.ROWS,
                    format=LoadFormat.F32,
                    words=size,
                    destination=place,
                    destination_stride=size,
                    row_bytes=self.memory.position_row_bytes,
                    **rows,
                ),
                Vector(
                    operation=VectorOp.ADD,
                    wait_a=Token.EMBEDDED,
                    signal_a=POSITIONS_FREE if number + 2 < len(firsts) else 0,
                    count_reg=r.ROWS,
                    words=size,
                    a=x,
                    a_outer=words,
                    b=place,
                    b_outer=size,
                    d=x,
                    d_outer=words,
                ),
            )
        norm = self.gain_and_bias("a", block, "embedding_norm")
        self.norm_beside(
            self.norm_in_place("x", *norm, wait=0, signals=(Token.X_OUT, 0)), (r.POSITION,), before
        )
        self.add(*self.kv_source())
        self.store_x()

    def _positions(self, number: int) -> int:
        return self.chip.vector[f"positions_{number % 2}"].base

    def layer_of_chunk(self, weight_bytes: int, kv_bytes: int) -> None:
        """A layer of a chunk, whose queries are there; the next layer is so many bytes ahead."""
        plan, others = self.memory.parameters, (Register.POSITION, LAYERS_LEFT)
        (down,) = self.memory.parts("w_down")
        self.attend_groups()
        self.attention_out()
        before = self.keys_values_of(ENCODER_CHUNK_ROWS, weight_bytes, kv_bytes)
        self.begin(before, others)
        norm = self.gain_and_bias("a", plan.attention, "attention_norm")
        self.norm_beside(
            self.norm_in_place("x", *norm, wait=Token.BRANCH_OUT),
            others,
            before,
            self.quantize_x(wait=0, ready=0, signals=(Token.NORMED_FFN, 0)),
        )
        bias = self.bias_of("b", plan.feed_forward, down)
        if bias is not None:
            self.add(self.on_rows(VectorOp.ADD, "x", b=bias))
        self.feed_forward()
        queries = self.next_queries()
        self.begin(queries, (NEXT_ROWS,))
        norm = self.gain_and_bias("b", plan.feed_forward, "ffn_norm")
        self.norm_beside(
            self.norm_in_place("x", *norm, wait=Token.BRANCH_OUT, signals=(Token.X_OUT, 0)),
            (NEXT_ROWS,),
            queries,
            self.kv_source(),
        )
        self.store_x()
        self.load_next_x()

    def feed_forward(self) -> None:
        """Up, activation, down, added to x; signals BRANCH_OUT. The array makes the channels of the
        next piece before it multiplies those of one; behind the last, x of the next chunk comes."""
        pieces = self.chip.piece_slices
        for piece in range(len(pieces)):
            for number in pieces[piece]:
                self.hidden_of(number, piece)
            if piece:
                self.down(piece - 1)
        self.next_chunk()
        with self.where(NEXT_ROWS):
            self.stage()
        self.down(len(pieces) - 1)

    def hidden_of(self, number: int, piece: int) -> None:
        """A slice of hidden channels, as codes of its piece."""
        part, *_ = self.memory.parts("w_up")
        first, end = self.chip.hidden_slices[number]
        before = self.memory.bytes_before(part, self.config)
        before += first * part.k_blocks * self.tile_bytes
        bias = self.bias_of("b", self.memory.parameters.feed_forward, part)
        slices, lanes = self.chip.piece_slices[piece], self.config.lanes
        ends = number == slices[0], number == slices[-1]
        begin = self.chip.hidden_slices[slices[0]][0]
        self.add(
            self.stream(
                (WeightPart(part.names, first, (end - first,), part.k_blocks),),
                before,
                Register.WEIGHTS,
            ),
            self.tiles_product(
                end - first,
                part.k_blocks,
                self.chip.activations["normed"].base,
                self.slice_word(number),
                end - first,
                bias=None if bias is None else bias + first,
                wait_a=0 if number else Token.NORMED_FFN,
                wait_b=SLICE_FREE,
                signal_a=Token.GATE_UP,
            ),
            *self.quantize_rows(
                VectorOp.ACTIVATE,
                (end - first) * lanes,
                wait=Token.GATE_UP,
                wait_b=Token.HIDDEN_FREE if ends[0] and piece > 1 else 0,
                signals=(Token.HIDDEN if ends[1] else 0, SLICE_FREE),
                activation=ACTIVATIONS[self.model.activation],
                a=self.slice_word(number),
                a_outer=end - first,
                d=self._hidden_block(piece) + (first - begin) * lanes // BLOCK,
                d_outer=self._blocks(piece),
            ),
        )

    def _hidden_block(self, piece: int) -> int:
        region = self.chip.activations["hidden"]
        return region.base + piece % 2 * (region.size // 2)

    def _blocks(self, piece: int) -> int:
        """Blocks of a piece."""
        slices = self.chip.piece_slices[piece]
        tiles = self.chip.hidden_slices[slices[-1]][1] - self.chip.hidden_slices[slices[0]][0]
        return tiles // self.config.words_per_block

    def down(self, piece: int) -> None:
        """A piece of the hidden channels times w_down, added to x."""
        (down,), pieces = self.memory.parts("w_down"), self.chip.piece_slices
        words, x = self.words(self.model.dim), self.chip.vector["x"].base
        first = sum(self._blocks(before) for before in range(piece))
        for number, (start, stop) in enumerate(even_chunks(words, MOST_RUNS)):
            self.stream_piece(down, start, stop - start, first, self._blocks(piece))
            tokens: dict[str, int] = {"wait_a": 0 if number else Token.HIDDEN}
            if stop == words:
                tokens["signal_a"] = Token.BRANCH_OUT if piece == len(pieces) - 1 else 0
                tokens["signal_b"] = Token.HIDDEN_FREE if piece + 2 < len(pieces) else 0
            self.add(
                self.tiles_product(
                    stop - start,
                    self._blocks(piece),
                    self._hidden_block(piece),
                    x + start,
                    words,
                    residual=True,
                    **tokens,
                )
            )
