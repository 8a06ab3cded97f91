# SPDX-License-Identifier: Apache-2.0
"""A state machine with a register per state, for clocks that leave no time to decode one."""

from amaranth import Cat, Const, Module, Signal, Value

__all__ = ["OneHotStates"]


class OneHotStates:
    """Exactly one of the states is up.

    Next states are sums of products, so that a condition that comes late passes one or two LUT4s
    on its way to a state.

        states = OneHotStates("IDLE", "BUSY")
        states.move("IDLE", "BUSY", start)
        states.move("BUSY", "IDLE", done)
        states.build(m)
        m.d.comb += o_busy.eq(states["BUSY"])

    Parameters
    ----------
    names : str
        The first is the one after reset.
    """

    def __init__(self, *names: str) -> None:
        self._states = {
            name: Signal(name=f"is_{name.lower()}", init=index == 0)
            for index, name in enumerate(names)
        }
        self._moves: list[tuple[str, str, Value]] = []

    def __getitem__(self, name: str) -> Signal:
        return self._states[name]

    def move(self, begin: str, end: str, when: Value | int = 1) -> None:
        """Go from ``begin`` to another state at ``when``, which excludes the state's other moves
        while the state is up."""
        assert begin != end
        assert {begin, end} <= self._states.keys()
        self._moves.append((begin, end, Value.cast(when)))

    def build(self, m: Module) -> None:
        """Add the registers; after all moves."""
        for name, state in self._states.items():
            leaves = Cat(Const(0, 1), (when for begin, _, when in self._moves if begin == name))
            enters = Cat(self._states[begin] & w for begin, end, w in self._moves if end == name)
            m.d.sync += state.eq((state & ~leaves.any()) | enters.any())
