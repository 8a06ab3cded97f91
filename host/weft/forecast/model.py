# SPDX-License-Identifier: Apache-2.0
"""Forecasts for a model's shape: a prompt, and a decode step at a context."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from weft.compiler.adapter_program import adapter_program, check_ranks
from weft.compiler.compiled import Layout, lay_out
from weft.compiler.conventions import (
    Token,
    batch_scalars,
    chunk_scalars,
    even_chunks,
)
from weft.compiler.low_rank import plan_low_rank
from weft.embedding_format import EmbeddingFormat
from weft.errors import WeftError
from weft.forecast.simulate import STARTS, WEIGHTS, Forecast, forecast
from weft.kv_format import AUTO
from weft.model import ModelConfig
from weft.quantize import WeightFormat
from weft_arch.config import Configuration

__all__ = ["ModelForecast", "forecast_model"]

MOST_CHUNKS = 16
"""Chunks of a prompt that are followed one by one; of more, so many stand for all of them: from
chunk to chunk only the attention grows, and evenly."""


@dataclass(frozen=True, kw_only=True)
class ModelForecast:
    """What is known before anything runs."""

    model: ModelConfig
    config: Configuration
    layout: Layout
    context: int
    prompt: int
    prefill: Forecast
    """of all tokens of the prompt; of a text, for an encoder"""
    decode: Forecast
    """of a step that sees ``context`` positions; an encoder has none, so the same as ``prefill``"""
    batch: int
    """sequences that a step of ``batched`` continues"""
    batched: Forecast
    """of a step of them, each of which sees ``context`` positions"""
    prompt_rows: int
    """most positions of a prompt that one run takes"""
    adapter_bytes: int = 0
    """bytes of memory that the weights of the adapter take, if there is one"""

    @property
    def is_encoder(self) -> bool:
        """Whether texts go in and hidden states come out."""
        return self.model.head == "none"

    @property
    def time_to_first_token(self) -> float:
        """Seconds."""
        return self.prefill.cycles / self.config.clock_hz

    @property
    def tokens_per_second(self) -> float:
        """Of decode at ``context``."""
        return self.config.clock_hz / self.decode.cycles

    @property
    def batch_tokens_per_second(self) -> float:
        """Of all sequences of a batch together."""
        return self.batch * self.config.clock_hz / self.batched.cycles

    def bottleneck(self, of: Forecast) -> str:
        """What a phase is short of."""
        memory = of.bytes_read / (of.cycles * self.config.memory_bytes_per_cycle)
        array = of.mac_cycles / of.cycles
        if max(memory, array) > 0.9:
            return "memory bandwidth" if memory > array else "array"
        if not of.waits:
            return "nothing"
        cause, cycles = of.waits.most_common(1)[0]
        names = {WEIGHTS: "memory bandwidth", STARTS: "starts"}
        name = names.get(cause) or f"the array waits for {Token(cause).name}"
        return f"{name} ({100 * cycles / of.cycles:.0f} % of the cycles)"

    def weight_tiles(self) -> list[tuple[str, int]]:
        """Matrices that are read together, and their tiles in a step."""
        memory = self.layout.memory
        tiles: Counter[str] = Counter()
        for part in memory.layer_parts:
            tiles[", ".join(part.names)] += part.tiles * self.model.n_layers
        head = [] if self.is_encoder else [("lm_head", memory.head_part.tiles)]
        return [*tiles.items(), *head]


def forecast_model(
    model: ModelConfig,
    config: Configuration,
    weights: WeightFormat,
    *,
    kv_format: str = AUTO,
    embedding: EmbeddingFormat = EmbeddingFormat.F16,
    context: int | None = None,
    prompt: int = 16,
    batch: int = 1,
    ranks: Mapping[str, int] | None = None,
) -> ModelForecast:
    """Forecast a prompt of ``prompt`` tokens and a decode step that sees ``context`` positions (by
    default those of the prompt and one more), of one sequence and of ``batch`` at once; with
    an adapter of these ``ranks`` by matrix, if there are any. Of an encoder forecast a text of
    ``prompt`` tokens."""
    if ranks:
        check_ranks(model, ranks)
    if model.head == "none":
        return _forecast_encoder(model, config, weights, kv_format, prompt)
    seen = prompt + 1 if context is None else context
    most = model.max_context
    if not 1 <= prompt <= most:
        raise WeftError(f"the prompt has {prompt} tokens; this model takes 1 to {most}.")
    if not 1 <= seen <= most:
        raise WeftError(f"the context is {seen} positions; this model takes 1 to {most}.")
    layout = lay_out(
        model,
        config,
        weights,
        kv_format=kv_format,
        embedding=embedding,
        max_context=max(seen, prompt),
        max_sequences=max(batch, 1),
    )
    programs = layout
    if ranks:
        side = plan_low_rank(config, layout.memory.layer_parts, ranks)
        programs = adapter_program(model, config, layout, side)
    rows = programs.batch.chip.chunk_rows if programs.batch else 1
    if not 1 <= batch <= rows:
        raise WeftError(f"a batch of {batch} sequences; a step of this model takes 1 to {rows}.")

    def run(rows: int, position: int, *, head: bool) -> Forecast:
        _, program = programs.chunk_program(rows)
        return forecast(program, config, chunk_scalars(rows, position, head=head))

    *before, last = even_chunks(prompt, programs.prompt_rows)
    prefill = run(last[1] - last[0], last[0], head=True)
    followed = min(len(before), MOST_CHUNKS)
    for k in range(followed):
        index = k if followed == len(before) else round(k * (len(before) - 1) / (followed - 1))
        first, end = before[index]
        part = run(end - first, first, head=False)
        prefill = prefill.plus(part, len(before) / followed)
    decode = batched = run(1, seen - 1, head=True)
    if programs.batch and batch > 1:
        scalars = batch_scalars([(sequence, seen - 1) for sequence in range(batch)])
        batched = forecast(programs.batch.program, config, scalars)
    return ModelForecast(
        model=model,
        config=config,
        layout=layout,
        context=seen,
        prompt=prompt,
        prefill=prefill,
        decode=decode,
        batch=batch,
        batched=batched,
        prompt_rows=programs.prompt_rows,
        adapter_bytes=model.n_layers * programs.chip.low_rank.layer_bytes,
    )


def _forecast_encoder(
    model: ModelConfig, config: Configuration, weights: WeightFormat, kv_format: str, tokens: int
) -> ModelForecast:
    if not 1 <= tokens <= model.max_context:
        raise WeftError(f"the text has {tokens} tokens; this model takes 1 to {model.max_context}.")
    layout = lay_out(model, config, weights, kv_format=kv_format, max_context=tokens)
    _, program = layout.chunk_program(tokens)
    text = forecast(program, config, layout.text_scalars(tokens))
    return ModelForecast(
        model=model,
        config=config,
        layout=layout,
        context=tokens,
        prompt=tokens,
        prefill=text,
        decode=text,
        batch=1,
        batched=text,
        prompt_rows=layout.prompt_rows,
    )
