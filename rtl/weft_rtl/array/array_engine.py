# SPDX-License-Identifier: Apache-2.0
"""The systolic array with all that keeps it busy."""

from amaranth import Module, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import BLOCK, Configuration
from weft_rtl.array.accumulator_memory import AccumulatorMemory
from weft_rtl.array.result_sequencer import ResultSequencer
from weft_rtl.array.row_feeder import RowFeeder
from weft_rtl.array.scaled_accumulator import ScaledAccumulator
from weft_rtl.array.systolic_array import SystolicArray
from weft_rtl.array.tile import ResultStep, Tile, TileResults
from weft_rtl.array.tile_sequencer import TileSequencer
from weft_rtl.array.weight_loader import WeightLoader
from weft_rtl.head.top_k import top_k_word
from weft_rtl.interfaces import (
    MEMORY_READ_LATENCY,
    ArrayPass,
    activation_read_signature,
    rescale_read_signature,
    score_word,
    strobe_signature,
    vector_read_signature,
    vector_write,
)
from weft_rtl.register_slice import RegisterSlice

__all__ = ["ArrayEngine"]

TILES_IN_FLIGHT = 16
"""More than can be between loader and accumulators: one every TILE_SPACING cycles."""
ROWS_IN_FLIGHT = 64
"""More than can be inside the array."""


class ArrayEngine(wiring.Component):
    """Runs a stream of `ArrayPass`, back to back. ::

        passes -> TileSequencer -> WeightLoader -> RowFeeder -> activation reads
                       |               | columns                     | rows
                       |               +-----------> SystolicArray <-+
                       |                                  | partial sums
                  tile queue ---> ResultSequencer --> ScaledAccumulator <-> AccumulatorMemory
                                                          | results
                                     vector memory, score buffer, top-k

    A tile takes max(rows, array_cols, TILE_SPACING) cycles while its weights are there; tiles and
    passes follow each other without a gap, but for a pass that starts from vector memory: its first
    row waits until the results before it are written (`row_feeder.SETTLE_CYCLES`).

    Members
    -------
    i_pass : stream of ArrayPass, In
        Taken when the last tile of the pass before is loaded, or is the next one. ``rows``,
        ``k_blocks`` and ``n_tiles`` are at least 1; ``rows`` is 1 with ``to_top_k``.
    i_codes, i_scales : streams from the weight buffer, In
        The scales of a tile must be there when its last code word is.
    activation : reader of the activation buffer
    vector_read : reader of the vector memory, never held off
        Initial values.
    rescale : `rescale_read_signature`
    o_vector_write : strobe of vector_write
    o_scores : strobe of score_word
    o_top_k : strobe of top_k_word
    o_value_exponents : stream of 32 x signed(8), Out
    i_codebook : In(16 x signed(8))
        Changed only while ``o_idle``.
    o_pass_done : Out(1)
        Pulse: the results of a pass with ``last`` are written.
    o_idle : Out(1)
        Nothing is in work.
    o_mac : Out(1)
        A row is on its way into the array.
    o_wait_weights : Out(1)
        No row is, because the next tile is not loaded yet.

    From the request of a row to its result are `latency` cycles.
    """

    i_pass: stream.Interface
    i_codes: stream.Interface
    i_scales: stream.Interface
    activation: wiring.PureInterface
    vector_read: wiring.PureInterface
    rescale: wiring.PureInterface
    o_vector_write: wiring.PureInterface
    o_scores: wiring.PureInterface
    o_top_k: wiring.PureInterface
    o_value_exponents: stream.Interface
    i_codebook: data.View
    o_pass_done: Signal
    o_idle: Signal
    o_mac: Signal
    o_wait_weights: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_pass": In(stream.Signature(ArrayPass)),
                "i_codes": In(stream.Signature(unsigned(8 * BLOCK))),
                "i_scales": In(stream.Signature(unsigned(16 * config.array_cols))),
                "activation": Out(activation_read_signature(config)),
                "vector_read": Out(vector_read_signature(config)),
                "rescale": Out(rescale_read_signature()),
                "o_vector_write": Out(strobe_signature(vector_write(config))),
                "o_scores": Out(strobe_signature(score_word(config))),
                "o_top_k": Out(strobe_signature(top_k_word(config))),
                "o_value_exponents": Out(stream.Signature(data.ArrayLayout(signed(8), BLOCK))),
                "i_codebook": In(data.ArrayLayout(signed(8), 16)),
                "o_pass_done": Out(1),
                "o_idle": Out(1),
                "o_mac": Out(1),
                "o_wait_weights": Out(1),
            }
        )

    @staticmethod
    def latency(config: Configuration) -> int:
        """Cycles from the request of an activation row to its result."""
        return MEMORY_READ_LATENCY + SystolicArray.latency(config) + ScaledAccumulator.LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.tiles = tiles = TileSequencer(config)
        m.submodules.loader = loader = WeightLoader(config)
        m.submodules.feeder = feeder = RowFeeder()
        m.submodules.array = array = SystolicArray(config)
        m.submodules.queue = queue = fifo.SyncFIFO(
            width=TileResults.as_shape().size, depth=TILES_IN_FLIGHT
        )
        m.submodules.results = results = ResultSequencer()

        connect(m, flipped(self.i_pass), tiles.i)
        # Without it, a chain of ready would go from the loader's columns to the compute unit, and
        # one of a tile's fields from there to the columns.
        m.submodules.next_tile = next_tile = RegisterSlice(Tile)
        connect(m, tiles.o, next_tile.i)
        connect(m, next_tile.o, loader.i_tiles)
        connect(m, flipped(self.i_codes), loader.i_codes)
        connect(m, loader.o_value_exponents, flipped(self.o_value_exponents))
        connect(m, loader.o_feed, feeder.i)
        # A cycle later, long before the tile's first result: that it is loaded is known late.
        tile_loaded = Signal()
        loaded_results = Signal(TileResults, reset_less=True)
        m.d.sync += [
            tile_loaded.eq(loader.i_tiles.valid & loader.i_tiles.ready),
            loaded_results.eq(loader.i_tiles.payload.results),
        ]
        m.d.comb += [
            loader.i_codebook.eq(self.i_codebook),
            queue.w_en.eq(tile_loaded),
            queue.w_data.eq(loaded_results),
            results.i_tiles.valid.eq(queue.r_rdy),
            results.i_tiles.payload.eq(queue.r_data),
            queue.r_en.eq(results.i_tiles.ready),
        ]

        # Rows into the array
        row_valid, row_first = feeder.o_valid, feeder.o_first
        for step in range(MEMORY_READ_LATENCY):
            valid = Signal(name=f"row_valid_{step + 1}")
            first = Signal(name=f"row_first_{step + 1}")
            m.d.sync += [valid.eq(row_valid), first.eq(row_first)]
            row_valid, row_first = valid, first
        m.d.comb += [
            self.activation.request.eq(feeder.o_valid),
            self.activation.address.eq(feeder.o_address),
            array.i_valid.eq(row_valid),
            array.i_swap.eq(row_first),
            array.i_activations.eq(self.activation.data.codes),
            array.i_preload.eq(loader.o_preload),
            array.i_weights.eq(loader.o_weights),
            results.i_valid.eq(array.o_valid),
            self.o_mac.eq(feeder.o_valid),
            self.o_wait_weights.eq(loader.o_waiting & ~feeder.o_busy),
        ]
        exponent = self._exponents(m, array, self.activation.data.exponent)
        result, word = self._accumulators(m, array, results, exponent)

        # Results out
        m.d.comb += [
            self.o_vector_write.valid.eq(result.valid & result.payload.to_vector_memory),
            self.o_vector_write.payload.address.eq(result.payload.destination),
            self.o_vector_write.payload.data.eq(word),
            self.o_scores.valid.eq(result.valid & result.payload.to_scores),
            self.o_scores.payload.row.eq(result.payload.row),
            self.o_scores.payload.word.eq(result.payload.score_word),
            self.o_scores.payload.parity.eq(result.payload.parity),
            self.o_scores.payload.data.eq(word),
            self.o_top_k.valid.eq(result.valid & result.payload.to_top_k),
            self.o_top_k.payload.index.eq(results.o_top_k_index),
            self.o_top_k.payload.limit.eq(results.o_top_k_limit),
            self.o_top_k.payload.clear.eq(results.o_clear_top_k),
            self.o_top_k.payload.data.eq(word),
        ]
        # One cycle for the write itself, one to spare.
        finished = Signal()
        m.d.sync += [
            finished.eq(result.valid & result.payload.pass_end),
            self.o_pass_done.eq(finished),
        ]
        in_flight = Signal(range(TILES_IN_FLIGHT + 1))
        tile_finished = Signal()
        m.d.sync += [
            tile_finished.eq(result.valid & result.payload.tile_end),
            in_flight.eq(in_flight + tile_loaded - tile_finished),
        ]
        m.d.comb += self.o_idle.eq(
            ~tiles.o_busy & ~next_tile.o.valid & ~tile_loaded & (in_flight == 0)
        )
        return m

    def _exponents(self, m: Module, array: SystolicArray, exponent: Signal) -> Signal:
        """The block exponents of the rows inside the array; 2 cycles after a row's result."""
        m.submodules.exponents = memory = Memory(
            shape=signed(8),
            depth=ROWS_IN_FLIGHT,
            init=[],
            attrs={"ram_style": "distributed", "no_rw_check": 1},
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(array.i_valid),
            write.data.eq(exponent),
            read.en.eq(array.o_valid),
        ]
        with m.If(array.i_valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(array.o_valid):
            m.d.sync += read.addr.eq(read.addr + 1)
        delayed = Signal(signed(8), name="exponent", reset_less=True)
        m.d.sync += delayed.eq(read.data)
        return delayed

    def _accumulators(
        self, m: Module, array: SystolicArray, results: ResultSequencer, exponent: Signal
    ) -> tuple[wiring.PureInterface, data.View]:
        """Scale and accumulate; returns the step whose result is ready, and the result."""
        config = self._config
        m.submodules.accumulator = accumulator = ScaledAccumulator(config)
        m.submodules.memory = memory = AccumulatorMemory(config)
        steps = [results.o_step]
        first_step = 2  # cycles from partial sums to ``o_step``
        for index in range(ScaledAccumulator.LATENCY - first_step):
            step = strobe_signature(ResultStep).create(path=(f"step_{index + 1}",))
            m.d.sync += step.valid.eq(steps[-1].valid)
            with m.If(steps[-1].valid):
                m.d.sync += step.payload.eq(steps[-1].payload)
            steps.append(step)
        start, last = steps[0], steps[-1]
        addend = steps[MEMORY_READ_LATENCY].payload
        m.d.comb += [
            accumulator.i_partial_sums.eq(array.o_partial_sums),
            accumulator.i_scales.eq(self.i_scales.payload),
            accumulator.i_load_scales.eq(results.o_first),
            accumulator.i_unit_scales.eq(~results.o_scaled),
            self.i_scales.ready.eq(results.o_first & results.o_scaled),
            accumulator.i_exponent.eq(exponent),
            self.vector_read.request.valid.eq(start.valid & start.payload.use_vector_memory),
            self.vector_read.request.payload.eq(results.o_initial_address),
            self.rescale.parity.eq(start.payload.parity),
            self.rescale.row.eq(start.payload.row),
            memory.i_read.eq(start.valid & start.payload.use_accumulator),
            memory.i_read_address.eq(start.payload.accumulator_address),
            accumulator.i_accumulators.eq(memory.o),
            accumulator.i_vector_word.eq(self.vector_read.data),
            accumulator.i_rescale.eq(self.rescale.data),
            accumulator.i_use_accumulator.eq(addend.use_accumulator),
            accumulator.i_use_vector_memory.eq(addend.use_vector_memory),
            accumulator.i_use_rescale.eq(addend.rescale),
            memory.i_write.eq(last.valid & last.payload.keep),
            memory.i_write_address.eq(last.payload.accumulator_address),
            memory.i_word.eq(accumulator.o),
        ]
        return last, accumulator.o
