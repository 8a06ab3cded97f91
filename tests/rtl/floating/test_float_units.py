# SPDX-License-Identifier: Apache-2.0
"""Every float unit against the functions of `weft_arch`, bit by bit, one case per cycle.

A unit is a row of `UNITS`: how to build it, what to feed it, what must come out. Several copies run
side by side, so that hundreds of thousands of cases take seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from amaranth import Module, Shape, signed, unsigned
from amaranth.hdl import UnusedElaboratable
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from weft_arch import blocks, float24, functions
from weft_rtl.floating.adder import FloatAdder
from weft_rtl.floating.float_to_fixed import FloatToFixed
from weft_rtl.floating.half_to_float import HalfToFloat
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.floating.piecewise import PiecewiseFunction
from weft_rtl.floating.quantizer import Quantizer
from weft_rtl.floating.reciprocal import FloatReciprocal
from weft_rtl.floating.single_to_float import SingleToFloat
from weft_sim.bench import Bench, bench_test, run_cocotb

COPIES = 16
GATES = (functions.SIGMOID, functions.GELU_TANH, functions.GELU_ERF)

I64 = NDArray[np.int64]
Cases = dict[str, I64]


class Bank(wiring.Component):
    """Copies of a unit; each of its ports is an array with one element per copy."""

    def __init__(self, build: Callable[[], wiring.Component], copies: int = COPIES) -> None:
        self._units = [build() for _ in range(copies)]
        members = {}
        for name, member in self._units[0].signature.members.items():
            width = Shape.cast(member.shape).width
            shape = data.ArrayLayout(unsigned(width), copies)
            members[name] = In(shape) if member.flow is In else Out(shape)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for k, unit in enumerate(self._units):
            m.submodules[f"unit_{k}"] = unit
            for name, member in unit.signature.members.items():
                port = getattr(unit, name)
                inner = port.as_value() if isinstance(port, data.View) else port
                if member.flow is In:
                    m.d.comb += inner.eq(getattr(self, name)[k])
                else:
                    m.d.comb += getattr(self, name)[k].eq(inner)
        return m


@dataclass(frozen=True)
class Unit:
    """What to test: ``cases`` maps port names to integers, ``expected`` these to the result."""

    build: Callable[[], wiring.Component]
    cases: Callable[[np.random.Generator], Cases]
    expected: Callable[[Cases], I64]


def floats(rng: np.random.Generator, n: int, low: int = 0, high: int = 255) -> I64:
    """Random F24 patterns with exponent fields in [low, high); field 0 is zero."""
    exponent = rng.integers(low, high, n)
    fraction = rng.integers(0, 1 << 15, n)
    # many zeros and ones in a row, where rounding carries far
    special = rng.integers(0, 5, n)
    keep = rng.integers(0, 16, n)
    fraction = np.where(special == 0, fraction >> keep << keep, fraction)
    fraction = np.where(special == 1, fraction | ((1 << keep) - 1), fraction)
    fraction = np.where(special == 2, 0x7FFF & ~((1 << keep) - 1), fraction)
    pattern = rng.integers(0, 2, n) << 23 | exponent << 15 | fraction
    return np.where(exponent == 0, 0, pattern)


CORNERS = np.array(
    [sign << 23 | magnitude for sign in (0, 1) for magnitude in (
        0x008000, 0x008001, 0x00FFFF, 0x010000, 0x3F7FFF, 0x3F8000, 0x3F8001, 0x400000,
        0x40FFFF, 0x7F0000, 0x7F7FFE, 0x7F7FFF)] + [0],
    np.int64,
)  # fmt: skip


def value(patterns: I64) -> NDArray[np.float32]:
    return float24.decode(patterns.astype(np.uint32))


def pattern(values: NDArray[np.float32]) -> I64:
    return float24.encode(values).astype(np.int64)


def pair_cases(rng: np.random.Generator) -> tuple[I64, I64]:
    a, b = (grid.ravel() for grid in np.meshgrid(CORNERS, CORNERS))
    n = 100_000
    x, y = floats(rng, n), floats(rng, n)
    near = floats(rng, n, 20, 230)  # exponents at every small distance, significands alike or not
    distance = rng.integers(-20, 21, n)
    other = floats(rng, n, 1, 2) & 0x807FFF | ((near >> 15 & 255) + distance) << 15
    alike = near ^ rng.integers(0, 2, n) << 23 ^ rng.integers(0, 8, n)
    return np.concatenate([a, x, near, near]), np.concatenate([b, y, other, alike])


def add_cases(rng: np.random.Generator) -> Cases:
    a, b = pair_cases(rng)
    return {"i_a": a, "i_b": b, "i_subtract": rng.integers(0, 2, len(a))}


def add_expected(c: Cases) -> I64:
    b = np.where(c["i_subtract"] == 1, -value(c["i_b"]), value(c["i_b"])).astype(np.float32)
    return pattern(float24.add(value(c["i_a"]), b))


def multiply_cases(rng: np.random.Generator) -> Cases:
    a, b = pair_cases(rng)
    # half of the products near the ends of the range, the others anywhere
    centre = 254 - (a >> 15 & 255) - (b >> 15 & 255)
    edge = centre + rng.choice([-128, -127, -126, -125, 125, 126, 127, 128], len(a))
    exponent = np.where(rng.integers(0, 2, len(a)) == 1, edge, rng.integers(-512, 512, len(a)))
    return {"i_a": a, "i_b": b, "i_exponent": np.clip(exponent, -512, 511)}


def multiply_expected(c: Cases) -> I64:
    return pattern(float24.multiply(value(c["i_a"]), value(c["i_b"]), c["i_exponent"]))


def integer_cases(width: int, is_signed: bool) -> Callable[[np.random.Generator], Cases]:
    def cases(rng: np.random.Generator) -> Cases:
        low, high = (-(1 << (width - 1)), 1 << (width - 1)) if is_signed else (0, 1 << width)
        near = [s * (1 << k) + d for k in range(width) for d in range(-3, 4) for s in (1, -1)]
        # ties: 16 bits, a half, and one either side of it
        halves = [
            s * (((sig << 1 | 1) << k) + d)
            for k in range(max(width - 17, 0))
            for sig in (0x8000, 0x8001, 0xFFFE, 0xFFFF)
            for d in (-1, 0, 1)
            for s in (1, -1)
        ]
        scaled = rng.integers(low, high, 60_000) >> rng.integers(0, width, 60_000)
        i = np.concatenate([np.array(near + halves + [low, high - 1, 0]), scaled])
        return {"i": np.clip(i, low, high - 1)}

    return cases


def integer_expected(exponent: int) -> Callable[[Cases], I64]:
    return lambda c: pattern(float24.round_to_f24(np.ldexp(c["i"].astype(np.float64), exponent)))


def fixed_cases(fraction_bits: int, width: int) -> Callable[[np.random.Generator], Cases]:
    def cases(rng: np.random.Generator) -> Cases:
        top = 127 + width - 1 - fraction_bits  # exponent field that just overflows
        near = floats(rng, 60_000, max(top - width - 4, 0), min(top + 3, 255))
        # n + 1/2 in fixed point, for small n
        ties = pattern(np.ldexp(np.arange(-4001, 4001, 2) / 2, -fraction_bits).astype(np.float32))
        return {"i": np.concatenate([CORNERS, floats(rng, 20_000), near, ties])}

    return cases


def fixed_expected(fraction_bits: int, width: int) -> Callable[[Cases], I64]:
    return lambda c: functions.to_fixed(value(c["i"]), fraction_bits, width)


def single_cases(rng: np.random.Generator) -> Cases:
    bits = rng.integers(0, 1 << 32, 60_000)
    exponent = rng.choice([0, 1, 127, 253, 254, 255], 60_000) << 23
    fraction = rng.choice([0, 0x7FFF00, 0x7FFF7F, 0x7FFF80, 0x7FFF81, 0x7FFFBF, 0x7FFFC0,
                           0x7FFFFF, 0x80, 0x180, 0x17F, 0x181], 60_000)  # fmt: skip
    return {"i": np.concatenate([bits, rng.integers(0, 2, 60_000) << 31 | exponent | fraction])}


def single_expected(c: Cases) -> I64:
    return pattern(float24.from_float32(c["i"].astype(np.uint32).view(np.float32)))


def table_cases(
    tables: tuple[functions.PiecewiseTable, ...],
) -> Callable[[np.random.Generator], Cases]:
    def cases(rng: np.random.Generator) -> Cases:
        sizes = [1 << (table.index_bits + table.fraction_bits) for table in tables]
        arguments = {"i_arguments": np.concatenate([np.arange(size) for size in sizes])}
        if len(tables) > 1:
            arguments["i_table"] = np.repeat(np.arange(len(tables)), sizes)
        return arguments

    return cases


def table_expected(tables: tuple[functions.PiecewiseTable, ...]) -> Callable[[Cases], I64]:
    def expected(c: Cases) -> I64:
        select = c.get("i_table", np.zeros_like(c["i_arguments"]))
        out = np.zeros_like(select)
        for k, table in enumerate(tables):
            out[select == k] = table.evaluate(c["i_arguments"][select == k])
        return out

    return expected


def reciprocal_cases(rng: np.random.Generator) -> Cases:
    every = np.concatenate([127 << 15 | np.arange(1 << 15), 128 << 15 | np.arange(1 << 15)])
    powers = np.arange(1, 255) << 15
    ends = [CORNERS, floats(rng, 20_000), powers, powers | 1, powers | 0x7FFF]
    i = np.concatenate([every, *ends])
    return {"i": np.tile(i, 2), "i_rsqrt": np.repeat([0, 1], len(i))}


def reciprocal_expected(c: Cases) -> I64:
    x = value(c["i"])
    root = c.get("i_rsqrt", np.zeros_like(c["i"]))
    return pattern(np.where(root == 1, functions.rsqrt(x), functions.reciprocal(x)))


def quantizer_cases(bits: int) -> Callable[[np.random.Generator], Cases]:
    def cases(rng: np.random.Generator) -> Cases:
        n = 120_000
        narrow = rng.integers(0, 2, n)
        key = rng.integers(0, 4, n) == 0
        least = np.where(key & (narrow == 1), blocks.KEY_MIN_EXPONENT, blocks.MIN_EXPONENT)
        largest = np.where(rng.integers(0, 2, n), rng.integers(0, 255, n), rng.integers(0, 24, n))
        largest = np.where(key, rng.integers(90, 140, n), largest)
        i = floats(rng, n, 1, 2) & 0x807FFF
        field = largest - np.minimum(rng.integers(0, 14, n), largest)
        i = np.where(field == 0, 0, i | field << 15)
        own = np.where(narrow == 1, 8, bits)
        exponent = np.maximum(largest - 127 - (own - 2), least)
        return {"i": i, "i_exponent": exponent, "i_narrow": narrow, "_largest": largest}

    return cases


def quantizer_expected(bits: int) -> Callable[[Cases], I64]:
    def expected(c: Cases) -> I64:
        """A group of two: the value, and one that sets the largest exponent."""
        out = np.zeros_like(c["i"])
        for narrow, own in ((0, bits), (1, 8)):
            for least in (blocks.MIN_EXPONENT, blocks.KEY_MIN_EXPONENT):
                other = c["_largest"] << 15
                group = np.stack([value(c["i"]), value(other)], axis=-1)
                codes, exponent = blocks.quantize(group, own, least)
                use = (c["i_narrow"] == narrow) & (exponent == c["i_exponent"])
                out = np.where(use, codes[:, 0], out)
        return out

    return expected


def planes_cases(bits: int) -> Callable[[np.random.Generator], Cases]:
    """Values of a wide key's two planes, each with one that sets the largest exponent."""

    def cases(rng: np.random.Generator) -> Cases:
        n = 60_000
        largest = np.where(
            rng.integers(0, 2, n), rng.integers(120, 135, n), rng.integers(0, 255, n)
        )
        i = floats(rng, n, 1, 2) & 0x807FFF
        field = largest - np.minimum(rng.integers(0, 18, n), largest)
        i = np.where(field == 0, 0, i | field << 15)
        low = rng.integers(0, 2, n)
        exponent = np.maximum(largest - 127 - 6, blocks.WIDE_KEY_MIN_EXPONENT)
        given = {"i_exponent": exponent - low * (bits - 8), "i_low": low}
        ones = np.ones(n, np.int64)
        return {"i": i, "i_narrow": ones, "i_wide": ones, "_largest": largest} | given

    return cases


def planes_expected(c: Cases) -> I64:
    other = c["_largest"] << 15
    group = np.stack([value(c["i"]), value(other)], axis=-1)
    high, low, _ = blocks.key_planes(group)
    return np.where(c["i_low"], low[:, 0], high[:, 0])


HALVES = Unit(
    HalfToFloat,
    lambda rng: {"i": np.arange(1 << 16)},
    lambda c: pattern(float24.from_float16_bits(c["i"])),
)

UNITS: dict[str, Unit] = {
    "multiplier": Unit(lambda: FloatMultiplier(10), multiply_cases, multiply_expected),
    "multiplier_constant": Unit(
        lambda: FloatMultiplier(constant_exponent=-16),
        lambda rng: {k: v for k, v in multiply_cases(rng).items() if k != "i_exponent"},
        lambda c: multiply_expected(c | {"i_exponent": np.full_like(c["i_a"], -16)}),
    ),
    "adder": Unit(FloatAdder, add_cases, add_expected),
    "half_to_float": HALVES,
    "single_to_float": Unit(SingleToFloat, single_cases, single_expected),
    "piecewise_exp2": Unit(
        lambda: PiecewiseFunction([functions.EXP2], rom_style="logic"),
        table_cases((functions.EXP2,)),
        table_expected((functions.EXP2,)),
    ),
    "piecewise_gates": Unit(
        lambda: PiecewiseFunction(GATES), table_cases(GATES), table_expected(GATES)
    ),
    "reciprocal": Unit(
        FloatReciprocal,
        lambda rng: {"i": reciprocal_cases(rng)["i"]},
        reciprocal_expected,
    ),
    "reciprocal_rsqrt": Unit(
        lambda: FloatReciprocal(with_rsqrt=True), reciprocal_cases, reciprocal_expected
    ),
    "quantizer_8": Unit(
        lambda: Quantizer(8, with_narrow=True), quantizer_cases(8), quantizer_expected(8)
    ),
    "quantizer_10": Unit(
        lambda: Quantizer(10, with_narrow=True), quantizer_cases(10), quantizer_expected(10)
    ),
    "quantizer_12": Unit(
        lambda: Quantizer(12, with_narrow=True), quantizer_cases(12), quantizer_expected(12)
    ),
}
for _bits in (8, 10, 12):
    UNITS[f"quantizer_planes_{_bits}"] = Unit(
        lambda bits=_bits: Quantizer(bits, with_narrow=True), planes_cases(_bits), planes_expected
    )
for _shape, _exponent in (
    (signed(8), 0),
    (signed(23), 0),
    (signed(32), -12),
    (unsigned(17), -16),
    (unsigned(30), -24),
):
    _name = f"integer_{'s' if _shape.signed else 'u'}{_shape.width}"
    UNITS[_name] = Unit(
        lambda shape=_shape, exponent=_exponent: IntegerToFloat(shape, exponent),
        integer_cases(_shape.width, _shape.signed),
        integer_expected(_exponent),
    )
for _fraction_bits, _width in ((12, 24), (12, 17), (0, 8), (20, 32)):
    UNITS[f"fixed_{_fraction_bits}_{_width}"] = Unit(
        lambda f=_fraction_bits, w=_width: FloatToFixed(f, w),
        fixed_cases(_fraction_bits, _width),
        fixed_expected(_fraction_bits, _width),
    )


def to_words(values: I64, width: int) -> list[int]:
    """Rows of integers as one packed integer each."""
    bits = (values[..., None] >> np.arange(width) & 1).astype(np.uint8)
    packed = np.packbits(bits.reshape(len(values), -1), axis=-1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


@bench_test(deadline_cycles=60_000)
async def matches(bench: Bench) -> None:
    unit = UNITS[bench.parameters["unit"]]
    latency: int = unit.build().LATENCY
    cases = unit.cases(np.random.default_rng(bench.seed))
    expected = np.asarray(unit.expected(cases), np.int64)
    rows = -(-len(expected) // COPIES)

    def columns(values: I64) -> I64:
        return np.resize(values, rows * COPIES).reshape(rows, COPIES)

    ports = []
    for name in (name for name in cases if not name.startswith("_")):
        port = getattr(bench.dut, name)
        ports.append((port, to_words(columns(cases[name]), len(port) // COPIES)))
    output = bench.dut.o
    wanted = to_words(columns(expected), len(output) // COPIES)
    got: list[Any] = []
    step = 0
    finished = bench.event()

    def edge() -> None:
        nonlocal step
        if latency + 1 <= step <= latency + rows:
            got.append(int(output.value))
        if step < rows:
            for port, words in ports:
                port.value = words[step]
        step += 1
        if step > latency + rows:
            finished.set()

    bench.add_agent(edge)
    await finished.wait()
    wrong = [k for k in range(rows) if got[k] != wanted[k]]
    if wrong:
        width = len(output) // COPIES
        row, mask = wrong[0], (1 << width) - 1
        lane = next(k for k in range(COPIES) if (got[row] ^ wanted[row]) >> k * width & mask)
        case = {name: int(columns(v)[row, lane]) for name, v in cases.items()}
        raise AssertionError(
            f"{len(wrong)} rows of {rows} differ; first: {case} gives "
            f"{got[row] >> lane * width & mask:#x}, "
            f"expected {wanted[row] >> lane * width & mask:#x}"
        )


@pytest.mark.parametrize("unit", UNITS)
def test_float_unit(unit: str) -> None:
    run_cocotb(Bank(UNITS[unit].build), __file__, tests="matches", parameters={"unit": unit})


def exact_round(x: Fraction) -> Fraction:
    """F24 rounding in exact arithmetic, the second judge of `float24.round_to_f24`."""
    magnitude = abs(x)
    if magnitude == 0:
        return Fraction(0)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    unit = Fraction(2) ** (exponent - 15)
    rounded = round(magnitude / unit) * unit  # Fraction rounds ties to even
    if rounded < Fraction(2) ** -126:
        return Fraction(0)
    rounded = min(rounded, Fraction(float24.MAX))
    return rounded if x > 0 else -rounded


def test_the_model_of_adder_and_multiplier_is_exact() -> None:
    """What the benches compare with is itself right, judged by exact fractions."""
    rng = np.random.default_rng(1)
    for cases, expected in ((add_cases, add_expected), (multiply_cases, multiply_expected)):
        every = cases(rng)
        chosen = {name: np.concatenate([v[:625], v[625::150]]) for name, v in every.items()}
        result = value(expected(chosen))
        a, b = value(chosen["i_a"]), value(chosen["i_b"])
        for k in range(len(a)):
            x, y = Fraction(float(a[k])), Fraction(float(b[k]))
            if "i_subtract" in chosen:
                exact = x - y if chosen["i_subtract"][k] else x + y
            else:
                exact = x * y * Fraction(2) ** int(chosen["i_exponent"][k])
            assert Fraction(float(result[k])) == exact_round(exact)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FloatMultiplier(11), "exponent_width is 11; it must be 0 to 10"),
        (lambda: FloatMultiplier(0, 600), "constant_exponent is 600"),
        (lambda: IntegerToFloat(signed(33)), "shape has 33 bits; it must have 2 to 32"),
        (lambda: IntegerToFloat(signed(8), 200), "exponent is 200; results would leave"),
        (lambda: FloatToFixed(0, 40), "width is 40; it must be 4 to 32"),
        (lambda: FloatToFixed(99, 16), "fraction_bits is 99"),
        (lambda: Quantizer(13), "bits is 13; it must be 8 to 12"),
        (
            lambda: PiecewiseFunction([functions.EXP2, functions.SIGMOID]),
            r"the tables have \[6, 7\] fraction bits",
        ),
        (
            lambda: PiecewiseFunction([functions.EXP2], rom_style="flash"),
            "rom_style is 'flash'; it must be 'block_ram' or 'logic'",
        ),
    ],
)
def test_bad_parameters_are_refused(build: Callable[[], object], message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=message):
            build()
