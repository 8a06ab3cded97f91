# SPDX-License-Identifier: Apache-2.0
"""The program for chunks of a long prompt: more rows than `ChunkProgram` has room for, the same
bits.

See `long_plan` for what is where. Hidden channels are made panel by panel, and multiplied in pieces
along the reduction, each added to x in its order, so that their codes need not all be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from weft.compiler.conventions import Register, Token, even_chunks
from weft.compiler.feed_forward import ACTIVATIONS
from weft.compiler.long_attention import LongAttention
from weft.compiler.weight_parts import WeightPart
from weft_arch.isa import Vector, VectorOp

__all__ = ["LongProgram"]

MOST_RUNS = 32
"""Runs of tiles, each with an instruction of its own, before the product that takes them: with more
than an instruction queue holds, the product would never be handed out."""


@dataclass(kw_only=True)
class _Panel:
    """Hidden channels of which gates and other factors are made side by side in two places."""

    tile: int
    """the first, of the slice"""
    tiles: int
    gate: int = 0
    gate_waits: bool = False
    """whether the array waits until the vector unit has multiplied one panel more"""
    up: int = 0
    up_waits: bool = False
    frees: bool = False
    """whether the array waits for this one to be multiplied"""


def _schedule(slices: Sequence[WeightPart], words: int, places: int) -> list[list[_Panel]]:
    """The panels of every slice, in places that are free when the array comes to them: it makes all
    gates of a slice, then all other factors; the vector unit multiplies panel after panel."""
    free, made, multiplied = list(range(places)), list[_Panel](), 0

    def place() -> tuple[int, bool]:
        nonlocal multiplied
        waits = not free
        if waits:
            done = made[multiplied]
            done.frees = True
            free.extend((done.gate, done.up))
            multiplied += 1
        return free.pop(0), waits

    found: list[list[_Panel]] = []
    for part in slices:
        starts = range(0, part.n_tiles[0], words)
        panels = [_Panel(tile=s, tiles=min(words, part.n_tiles[0] - s)) for s in starts]
        for panel in panels:
            panel.gate, panel.gate_waits = place()
        for panel in panels:
            panel.up, panel.up_waits = place()
            made.append(panel)
        found.append(panels)
    return found


class LongProgram(LongAttention):
    """Rows are positions as in `ChunkProgram`, up to ``chip.chunk_rows`` of them."""

    def load_rotations(self) -> None:
        """Layer by layer instead."""

    def feed_forward_layer(self) -> None:
        """Norm, gate and up, activation, down; the array makes the channels of the next piece
        before it multiplies those of one."""
        slices, (down,) = self.memory.parts("w_up"), self.memory.parts("w_down")
        block, size = self.memory.parameters.feed_forward, self.chip.piece_slices
        self.add(
            *self.norm_to_codes(
                *self.gain_and_bias("a", block, "ffn_norm"),
                wait=Token.X_ATTENTION,
                ready=Token.PARAMETERS_A,
                signals=(Token.NORMED_FFN, Token.PARAMETERS_A_FREE),
            )
        )
        schedule = _schedule(slices, self.chip.panel_words, self.chip.panels)
        per_block = self.config.words_per_block
        firsts = range(0, len(slices), size)
        blocks = [sum(p.n_tiles[0] for p in slices[f : f + size]) // per_block for f in firsts]
        done = 0
        for piece, first in enumerate(firsts):
            place = 0
            for number in range(first, min(first + size, len(slices))):
                panels = schedule[number]
                self.add(
                    self.stream(
                        (slices[number],),
                        self.memory.bytes_before(slices[number], self.config),
                        Register.WEIGHTS,
                    )
                )
                self.gates(panels, slices[number].k_blocks, first=number == 0)
                for panel in panels:
                    self.factors(panel, slices[number].k_blocks)
                    place += panel.tiles // per_block
                    self.hidden_codes(panel, piece, place, blocks[piece])
            if piece:
                self.down_piece(down, piece - 1, done, blocks)
                done += blocks[piece - 1]
        self.down_piece(down, len(blocks) - 1, done, blocks)

    def _panel_word(self, place: int) -> int:
        size = self.chip.chunk_rows * self.chip.panel_words
        return self.chip.vector["panels"].base + place * size

    def gates(self, panels: Sequence[_Panel], k_blocks: int, *, first: bool) -> None:
        """Of a slice."""
        for panel in panels:
            self.add(
                self.tiles_product(
                    panel.tiles,
                    k_blocks,
                    self.chip.activations["normed"].base,
                    self._panel_word(panel.gate),
                    panel.tiles,
                    wait_a=Token.NORMED_FFN if first and panel is panels[0] else 0,
                    wait_b=Token.GATE_UP_FREE if panel.gate_waits else 0,
                )
            )

    def factors(self, panel: _Panel, k_blocks: int) -> None:
        """What the activated gates are multiplied with."""
        self.add(
            self.tiles_product(
                panel.tiles,
                k_blocks,
                self.chip.activations["normed"].base,
                self._panel_word(panel.up),
                panel.tiles,
                wait_b=Token.GATE_UP_FREE if panel.up_waits else 0,
                signal_a=Token.GATE_UP,
            )
        )

    def hidden_codes(self, panel: _Panel, piece: int, end: int, blocks: int) -> None:
        """activation(gate) * factor as codes, up to the block ``end`` of a piece of ``blocks``."""
        gate, per_block = self._panel_word(panel.gate), self.config.words_per_block
        first = end - panel.tiles // per_block
        self.add(
            Vector(
                operation=VectorOp.ACTIVATE,
                activation=ACTIVATIONS[self.model.activation],
                wait_a=Token.GATE_UP,
                count_reg=Register.ROWS,
                words=panel.tiles,
                a=gate,
                a_outer=panel.tiles,
                d=gate,
                d_outer=panel.tiles,
            ),
            *self.quantize_rows(
                VectorOp.MUL,
                panel.tiles * self.config.lanes,
                wait=Token.HIDDEN_FREE if first == 0 and piece > 1 else 0,
                signals=(
                    Token.HIDDEN if end == blocks else 0,
                    Token.GATE_UP_FREE if panel.frees else 0,
                ),
                a=gate,
                a_outer=panel.tiles,
                b=self._panel_word(panel.up),
                b_outer=panel.tiles,
                d=self._hidden_block(piece) + first,
                d_outer=blocks,
            ),
        )

    def _hidden_block(self, piece: int) -> int:
        region = self.chip.activations["hidden"]
        return region.base + piece % 2 * (region.size // 2)

    def down_piece(self, down: WeightPart, piece: int, first: int, blocks: Sequence[int]) -> None:
        """A piece of the hidden channels times w_down, added to x."""
        words = self.words(self.model.dim)
        x, end = self.chip.vector["x"].base, piece == len(blocks) - 1
        for number, (start, stop) in enumerate(even_chunks(words, MOST_RUNS)):
            self.stream_piece(down, start, stop - start, first, blocks[piece])
            tokens: dict[str, int] = {"wait_a": 0 if number else Token.HIDDEN}
            if stop == words:
                tokens["signal_a"] = Token.X if end else 0
                tokens["signal_b"] = Token.HIDDEN_FREE if piece + 2 < len(blocks) else 0
            self.add(
                self.tiles_product(
                    stop - start,
                    blocks[piece],
                    self._hidden_block(piece),
                    x + start,
                    words,
                    residual=True,
                    **tokens,
                )
            )
