# SPDX-License-Identifier: Apache-2.0
"""What the parts of the array engine tell each other about a tile."""

from amaranth.lib import data

from weft_rtl.interfaces import ACTIVATION_ADDRESS, ROW, VECTOR_ADDRESS, PassInitial, TileSource

__all__ = ["ResultStep", "Tile", "TileFeed", "TileResults"]


class TileFeed(data.Struct):
    """The rows that go through a tile: activation blocks address + m * stride."""

    address: ACTIVATION_ADDRESS
    stride: 10
    rows: ROW
    settle: 1
    """the results of all rows before must be in vector memory when the first one is added up"""


class TileResults(data.Struct):
    """Where a tile's results come together, and where they go."""

    rows: ROW
    scaled: 1
    """the tile has scales; else they are 1"""
    first_k: 1
    last_k: 1
    initial: PassInitial
    initial_address: VECTOR_ADDRESS
    initial_stride: 12
    accumulator_address: 12
    accumulator_stride: 10
    destination: VECTOR_ADDRESS
    destination_stride: 12
    to_vector_memory: 1
    to_accumulator: 1
    to_scores: 1
    to_top_k: 1
    clear_top_k: 1
    top_k_index: 18
    top_k_limit: 18
    score_word: 3
    parity: 1
    pass_end: 1
    """the last tile of a pass whose end is to be reported"""


class Tile(data.Struct):
    """One tile on its way from the sequencer to the loader."""

    source: TileSource
    has_header: 1
    feed: TileFeed
    results: TileResults


class ResultStep(data.Struct):
    """One row of results on its way through the scaled accumulator."""

    use_vector_memory: 1
    """add to the word read from vector memory"""
    use_accumulator: 1
    """add to the accumulator's entry; to 0 when neither is set"""
    rescale: 1
    """the entry is scaled down first"""
    keep: 1
    """write the accumulator's entry"""
    to_vector_memory: 1
    to_scores: 1
    to_top_k: 1
    accumulator_address: 12
    destination: VECTOR_ADDRESS
    row: ROW
    score_word: 3
    parity: 1
    tile_end: 1
    """the tile's last row"""
    pass_end: 1
