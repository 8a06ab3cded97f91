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
    "Activate",
    "Add",
    "Attention",
    "Embed",
    "Emit",
    "Graph",
    "Head",
    "Kind",
    "Linear",
    "Norm",
    "Op",
    "Quantize",
    "StoreKV",
    "Value",
    "check",
    "transformer_graph",
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
    """out = rows of the token embedding, scaled; with what belongs to each row's position added
    when ``positions``."""

    out: Value
    positions: bool = False


@dataclass(frozen=True, kw_only=True)
class Norm:
    """out = norm of source, times the gain called ``gain``; plus its bias when ``bias``. CODES are
    quantised."""

    source: Value
    gain: str
    out: Value
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """out = source as codes."""

    source: Value
    out: Value


@dataclass(frozen=True, kw_only=True)
class Add:
    """out = out + source."""

    source: Value
    out: Value


@dataclass(frozen=True, kw_only=True)
class Linear:
    """out = source times the transposes of ``weights``, side by side, plus the biases of those that
    ``biases`` names; added to what is in out already when ``residual``."""

    source: Value
    weights: tuple[str, ...]
    out: Value
    residual: bool = False
    biases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoreKV:
    """Append keys and values, or either, to the cache: what ``weights`` made, side by side. Keys
    are normalised and rotated where the model does so."""

    keys_values: Value
    weights: tuple[str, ...] = ("wk", "wv")


@dataclass(frozen=True, kw_only=True)
class Attention:
    """out = quantised attention of the queries (normalised and rotated as the keys are) over the
    cache, heads side by side."""

    queries: Value
    out: Value


@dataclass(frozen=True, kw_only=True)
class Activate:
    """out = quantised activation of ``source``; when ``gated``, activation(first half) * second
    half."""

    source: Value
    activation: Activation
    out: Value
    gated: bool = True


@dataclass(frozen=True, kw_only=True)
class Head:
    """Logits of source: the chosen rows times the transpose of ``weights``."""

    source: Value
    weights: str
    vocab_size: int


@dataclass(frozen=True, kw_only=True)
class Emit:
    """The rows of source are the result: an encoder's hidden states."""

    source: Value


Op = Embed | Norm | Quantize | Add | Linear | StoreKV | Attention | Activate | Head | Emit


@dataclass(frozen=True, kw_only=True)
class Graph:
    """``prologue``, then ``layer`` n_layers times, then ``epilogue``. Weight and gain names of the
    layer are those of `LayerWeights`, of the others those of `Checkpoint`."""

    config: ModelConfig
    prologue: tuple[Op, ...]
    layer: tuple[Op, ...]
    epilogue: tuple[Op, ...]


def transformer_graph(config: ModelConfig) -> Graph:
    """The graph of a model: decoders and encoders, norms before, after, or before and after."""

    def floats(name: str, width: int) -> Value:
        return Value(name=name, width=width, kind=Kind.FLOAT)

    def codes(name: str, width: int) -> Value:
        return Value(name=name, width=width, kind=Kind.CODES)

    def linear(source: Value, weights: tuple[str, ...], out: Value, residual: bool = False) -> Op:
        biases = tuple(name for name in weights if name in config.biases)
        return Linear(source=source, weights=weights, out=out, residual=residual, biases=biases)

    def norm(source: Value, gain: str, out: Value) -> Op:
        return Norm(source=source, gain=gain, out=out, bias=config.norm == "layer")

    x = floats("x", config.dim)
    normed = codes("normed", config.dim)
    queries = floats("queries", config.q_dim)
    attended = codes("attended", config.q_dim)
    hidden = codes("hidden", config.hidden_dim)
    gated = config.feed_forward == "gated"
    inner = ("w_gate", "w_up") if gated else ("w_up",)
    gate_up = floats("gate_up", len(inner) * config.hidden_dim)
    scratch = floats("scratch", config.dim)

    stored: list[Op] = []
    for names in (("wk",), ("wv",)) if config.head == "none" else (("wk", "wv"),):
        keys_values = floats("keys_values", len(names) * config.kv_dim)
        stored += [
            linear(normed, names, keys_values),
            StoreKV(keys_values=keys_values, weights=names),
        ]

    def branch_in(gain: str) -> Op:
        if config.norm_order == "post":
            return Quantize(source=x, out=normed)
        return norm(x, gain, normed)

    def branch_out(source: Value, weight: str, gain: str) -> tuple[Op, ...]:
        if config.norm_order == "sandwich":
            product = linear(source, (weight,), scratch)
            return product, norm(scratch, gain, scratch), Add(source=scratch, out=x)
        product = linear(source, (weight,), x, residual=True)
        return (product, norm(x, gain, x)) if config.norm_order == "post" else (product,)

    after = ("attention_norm", "ffn_norm")
    if config.norm_order == "sandwich":
        after = ("attention_post_norm", "ffn_post_norm")
    prologue: list[Op] = [Embed(out=x, positions=config.positions == "learned")]
    if config.embedding_norm:
        prologue.append(norm(x, "embedding_norm", x))
    layer = (
        branch_in("attention_norm"),
        *stored,
        linear(normed, ("wq",), queries),
        Attention(queries=queries, out=attended),
        *branch_out(attended, "wo", after[0]),
        branch_in("ffn_norm"),
        linear(normed, inner, gate_up),
        Activate(source=gate_up, activation=config.activation, out=hidden, gated=gated),
        *branch_out(hidden, "w_down", after[1]),
    )
    if config.head == "none":
        has_norm = "final_norm" in config.model_shapes()
        last = (norm(x, "final_norm", x),) if has_norm else ()
        epilogue: tuple[Op, ...] = (*last, Emit(source=x))
    else:
        epilogue = (
            norm(x, "final_norm", normed),
            Head(source=normed, weights="lm_head", vocab_size=config.vocab_size),
        )
    return Graph(config=config, prologue=tuple(prologue), layer=layer, epilogue=epilogue)


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
        case Norm() | Activate() | Quantize() | Emit():
            return ((op.source, Kind.FLOAT),)
        case Add():
            return ((op.source, Kind.FLOAT), (op.out, Kind.FLOAT))
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
        case Quantize() | Add():
            wanted = [("output", op.out.width, op.source.width)]
        case Linear():
            total = sum(shapes[name][0] for name in op.weights)
            wanted = [(name, shapes[name][1], op.source.width) for name in op.weights]
            wanted.append(("output", op.out.width, total))
        case StoreKV():
            total = len(op.weights) * config.kv_dim
            wanted = [("keys and values", op.keys_values.width, total)]
        case Attention():
            wanted = [
                ("queries", op.queries.width, config.q_dim),
                ("output", op.out.width, config.q_dim),
            ]
        case Activate():
            wanted = [("output", (2 if op.gated else 1) * op.out.width, op.source.width)]
        case Emit():
            wanted = [("output", op.source.width, config.dim)]
        case Head():
            wanted = [(op.weights, shapes[op.weights][1], op.source.width)]
    for name, width, needed in wanted:
        if width != needed:
            raise CompileError(f"{type(op).__name__}: {name} is {width} wide instead of {needed}.")
