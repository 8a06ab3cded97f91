# SPDX-License-Identifier: Apache-2.0
"""The largest logits and their indexes, kept while the logits stream out of the array."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import float24
from weft_arch.config import Configuration
from weft_rtl.interfaces import FLOAT, float_word, strobe_signature

__all__ = ["TopKUnit", "top_k_word"]

INDEX_BITS = 18
_MOST_NEGATIVE = int(float24.encode(-float24.MAX))
_KEY_BITS = FLOAT.width + INDEX_BITS + 1


def top_k_word(config: Configuration) -> data.StructLayout:
    """One word of logits for the top-k unit: lane l has index ``index + l`` and enters the list if
    that is below ``limit``; ``clear`` empties the list first."""
    return data.StructLayout(
        {"index": INDEX_BITS, "limit": INDEX_BITS, "clear": 1, "data": float_word(config)}
    )


def _sortable(pattern: Value) -> Value:
    """An F24 pattern as an unsigned number of the same order."""
    return Mux(pattern[23], ~pattern, pattern ^ (1 << 23))


def _pattern(sortable: Value) -> Value:
    """The inverse of `_sortable`."""
    return Mux(sortable[23], sortable ^ (1 << 23), ~sortable)


def _unused_key() -> int:
    """The key of an entry that holds nothing: value -MAX, index all ones."""
    return (_MOST_NEGATIVE ^ 0xFFFFFF) << (INDEX_BITS + 1)


class TopKUnit(wiring.Component):
    """Keeps the ``top_k_entries`` largest of the values it is given, sorted: larger value first, of
    equal values the lower index first.

    A chain of cells, one per entry. A candidate goes down the chain, one cell per cycle; a cell
    keeps the larger of the candidate and its entry and hands on the other. Value and index are
    compared as one number: the value in sortable form above the inverted index. The cells take one
    candidate per cycle, so words may come every ``lanes`` cycles, and two of them at once.

    Members
    -------
    i : In(strobe of top_k_word)
        Logits. A word arriving while two earlier ones are still waiting would be lost.
    i_read_index : In(range(top_k_entries))
        Entry to read; only while not busy.
    o_value, o_index : Out(24), Out(32)
        The entry named in the cycle before: F24 pattern and index; (-MAX, 0xFFFFFFFF) if unused.
    o_busy : Out(1)
        Candidates are still on their way into the list.

    Area (8 lanes, 8 entries): 1,200 LUT4, 190 CCU2C, no memory.
    """

    i: wiring.PureInterface
    i_read_index: Signal
    o_value: Signal
    o_index: Signal
    o_busy: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(strobe_signature(top_k_word(config))),
                "i_read_index": In(range(config.top_k_entries)),
                "o_value": Out(FLOAT),
                "o_index": Out(32),
                "o_busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        candidate, candidate_valid, candidate_clear, serializing = self._serialize(m)
        entries = self._sort(m, candidate, candidate_valid, candidate_clear)

        # The last candidate has passed the whole chain this many cycles later.
        settling = Signal(range(self._config.top_k_entries + 2))
        with m.If(candidate_valid):
            m.d.sync += settling.eq(self._config.top_k_entries)
        with m.Elif(settling.any()):
            m.d.sync += settling.eq(settling - 1)
        m.d.comb += self.o_busy.eq(serializing | candidate_valid | settling.any())

        entry = Signal(_KEY_BITS)
        m.d.comb += entry.eq(Array(entries)[self.i_read_index])
        index = ~entry[: INDEX_BITS + 1]
        m.d.sync += [
            self.o_value.eq(_pattern(entry[INDEX_BITS + 1 :])),
            self.o_index.eq(Cat(index, index[-1].replicate(32 - len(index)))),
        ]
        return m

    def _serialize(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """Words to candidates, one per cycle: (key, valid, clear, words are waiting)."""
        lanes = self._config.lanes
        waiting = Signal(top_k_word(self._config), reset_less=True)
        waiting_valid = Signal()
        word = Signal(data.ArrayLayout(FLOAT, lanes), reset_less=True)
        index = Signal(INDEX_BITS + 1, reset_less=True)  # past the largest index without wrapping
        limit = Signal(INDEX_BITS, reset_less=True)
        clear = Signal()
        left = Signal(range(lanes + 1))
        take = Signal()

        m.d.comb += take.eq(waiting_valid & (left[1:] == 0))
        with m.If(take):
            m.d.sync += waiting_valid.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [waiting.eq(self.i.payload), waiting_valid.eq(1)]

        with m.If(take):
            m.d.sync += [
                word.eq(waiting.data),
                index.eq(waiting.index),
                limit.eq(waiting.limit),
                clear.eq(waiting.clear),
                left.eq(lanes),
            ]
        with m.Elif(left.any()):
            m.d.sync += [
                word.eq(Cat(word.as_value()[FLOAT.width :], Const(0, FLOAT.width))),
                index.eq(index + 1),
                clear.eq(0),
                left.eq(left - 1),
            ]

        # A word of which nothing enters must still clear: then the candidate is an unused entry.
        key = Signal(unsigned(_KEY_BITS), reset_less=True)
        valid = Signal()
        clear_key = Signal(reset_less=True)
        enters = index < limit
        m.d.sync += [
            key.eq(Mux(enters, Cat(~index, _sortable(word[0])), _unused_key())),
            valid.eq(left.any() & (enters | clear)),
            clear_key.eq(clear),
        ]
        return key, valid, clear_key, waiting_valid | left.any()

    def _sort(self, m: Module, key: Value, valid: Value, clear: Value) -> list[Signal]:
        """The chain of cells; the keys they hold."""
        entries = []
        for k in range(self._config.top_k_entries):
            entry = Signal(_KEY_BITS, name=f"entry_{k}", init=_unused_key())
            wins = Signal(name=f"wins_{k}")
            next_key = Signal(_KEY_BITS, name=f"key_{k + 1}", reset_less=True)
            next_valid = Signal(name=f"valid_{k + 1}")
            next_clear = Signal(name=f"clear_{k + 1}", reset_less=True)
            # Not as `>`, of which synthesis makes a comparison for equality as well.
            m.d.comb += wins.eq(clear | (entry < key))
            with m.If(valid):
                with m.If(wins):
                    m.d.sync += entry.eq(key)
                m.d.sync += [
                    next_key.eq(Mux(clear, _unused_key(), Mux(wins, entry, key))),
                    next_clear.eq(clear),
                ]
            m.d.sync += next_valid.eq(valid)
            key, valid, clear = next_key, next_valid, next_clear
            entries.append(entry)
        return entries
