# SPDX-License-Identifier: Apache-2.0
"""Level 1: a model as operations on named values, free of any hardware.

A value is a matrix of ``rows`` (positions of the chunk) by ``width``. It is either FLOAT (it will
live in vector memory) or CODES (quantised blocks, the only thing the array multiplies). `check`
is the specification that the next level relies on: every value is made once before it is used, and
every operation gets the kinds and widths that it needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from weft.errors import CompileError
from weft.model import Activation, ModelConfig

__all__ = [
    "Attention",
    "Embed",
    "GatedActivation",
    "Graph",
    "Head",
    "Kind",
    "Linear",
    "Norm",
    "Op",
    "StoreKV",
    "Value",
    "check",
    "llama_graph",
]


class Kind(Enum):
    """Where a value can live."""

    FLOAT = "float"
    CODES = "codes"


@dataclass(frozen=True, kw_only=True)
class Value:
    """A matrix of the chunk's rows by ``width``."""

    name: str
    width: int
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Embed:
    """out = rows of the token embedding."""

    out: Value


@dataclass(frozen=True, kw_only=True)
class Norm:
    """out = quantised RMSNorm of source, times the gain called ``gain``."""

    source: Value
    gain: str
    out: Value


@dataclass(frozen=True, kw_only=True)
class Linear:
    """out = source times the transposes of ``weights``, side by side; added to what is in out
    already when ``residual``."""

    source: Value
    weights: tuple[str, ...]
    out: Value
    residual: bool = False


@dataclass(frozen=True, kw_only=True)
class StoreKV:
    """Rotate the keys in the first half of ``keys_values``, and append both halves to the cache."""

    keys_values: Value


@dataclass(frozen=True, kw_only=True)
class Attention:
    """out = quantised attention of the rotated queries over the cache, heads side by side."""

    queries: Value
    out: Value


@dataclass(frozen=True, kw_only=True)
class GatedActivation:
    """out = quantised activation(first half) * second half of ``source``."""

    source: Value
    activation: Activation
    out: Value


@dataclass(frozen=True, kw_only=True)
class Head:
    """Logits of source: the chosen rows times the transpose of ``weights``."""

    source: Value
    weights: str
    vocab_size: int


Op = Embed | Norm | Linear | StoreKV | Attention | GatedActivation | Head


@dataclass(frozen=True, kw_only=True)
class Graph:
    """``prologue``, then ``layer`` n_layers times, then ``epilogue``. Weight and gain names of the
    layer are those of `LayerWeights`, of the others those of `Checkpoint`."""

    config: ModelConfig
    prologue: tuple[Op, ...]
    layer: tuple[Op, ...]
    epilogue: tuple[Op, ...]


def llama_graph(config: ModelConfig) -> Graph:
    """The Llama family: RMSNorm, rotary attention with grouped queries, gated feed-forward."""

    def floats(name: str, width: int) -> Value:
        return Value(name=name, width=width, kind=Kind.FLOAT)

    def codes(name: str, width: int) -> Value:
        return Value(name=name, width=width, kind=Kind.CODES)

    x = floats("x", config.dim)
    normed = codes("normed", config.dim)
    keys_values = floats("keys_values", 2 * config.kv_dim)
    queries = floats("queries", config.q_dim)
    attended = codes("attended", config.q_dim)
    gate_up = floats("gate_up", 2 * config.hidden_dim)
    hidden = codes("hidden", config.hidden_dim)
    return Graph(
        config=config,
        prologue=(Embed(out=x),),
        layer=(
            Norm(source=x, gain="attention_norm", out=normed),
            Linear(source=normed, weights=("wk", "wv"), out=keys_values),
            Linear(source=normed, weights=("wq",), out=queries),
            StoreKV(keys_values=keys_values),
            Attention(queries=queries, out=attended),
            Linear(source=attended, weights=("wo",), out=x, residual=True),
            Norm(source=x, gain="ffn_norm", out=normed),
            Linear(source=normed, weights=("w_gate", "w_up"), out=gate_up),
            GatedActivation(source=gate_up, activation=config.activation, out=hidden),
            Linear(source=hidden, weights=("w_down",), out=x, residual=True),
        ),
        epilogue=(
            Norm(source=x, gain="final_norm", out=normed),
            Head(source=normed, weights="lm_head", vocab_size=config.vocab_size),
        ),
    )


def check(graph: Graph) -> None:
    """Raise `CompileError` naming the first operation that breaks the rules of this level."""
    config = graph.config
    shapes = {**config.model_shapes(), **config.layer_shapes()}
    made: dict[str, Value] = {}
    for op in (*graph.prologue, *graph.layer, *graph.epilogue):
        for value, kind in _inputs(op):
            if made.get(value.name) != value:
                raise CompileError(f"{type(op).__name__} uses {value.name} before it is made.")
            if value.kind is not kind:
                raise CompileError(
                    f"{type(op).__name__} needs {value.name} as {kind.value}, "
                    f"but it is {value.kind.value}."
                )
        _check_widths(op, shapes, config)
        out = getattr(op, "out", None)
        if out is not None:
            made[out.name] = out


def _inputs(op: Op) -> Iterable[tuple[Value, Kind]]:
    match op:
        case Embed():
            return ()
        case Norm() | GatedActivation():
            return ((op.source, Kind.FLOAT),)
        case Linear():
            residual = ((op.out, Kind.FLOAT),) if op.residual else ()
            return ((op.source, Kind.CODES), *residual)
        case StoreKV():
            return ((op.keys_values, Kind.FLOAT),)
        case Attention():
            return ((op.queries, Kind.FLOAT),)
        case Head():
            return ((op.source, Kind.CODES),)


def _check_widths(op: Op, shapes: dict[str, tuple[int, ...]], config: ModelConfig) -> None:
    wanted: list[tuple[str, int, int]] = []
    match op:
        case Embed():
            wanted = [("output", op.out.width, config.dim)]
        case Norm():
            wanted = [
                ("output", op.out.width, op.source.width),
                (op.gain, shapes[op.gain][0], op.source.width),
            ]
        case Linear():
            total = sum(shapes[name][0] for name in op.weights)
            wanted = [(name, shapes[name][1], op.source.width) for name in op.weights]
            wanted.append(("output", op.out.width, total))
        case StoreKV():
            wanted = [("keys and values", op.keys_values.width, 2 * config.kv_dim)]
        case Attention():
            wanted = [
                ("queries", op.queries.width, config.q_dim),
                ("output", op.out.width, config.q_dim),
            ]
        case GatedActivation():
            wanted = [("output", 2 * op.out.width, op.source.width)]
        case Head():
            wanted = [(op.weights, shapes[op.weights][1], op.source.width)]
    for name, width, needed in wanted:
        if width != needed:
            raise CompileError(f"{type(op).__name__}: {name} is {width} wide instead of {needed}.")
