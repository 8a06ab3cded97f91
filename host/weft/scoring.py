# SPDX-License-Identifier: Apache-2.0
"""Judges a model on a device against its float model: what `weft eval` prints."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from weft.compiler import compile_model
from weft.compiler.adapters import with_adapters
from weft.devices import changed_preset, find_preset, open_device
from weft.errors import EvaluationError, FileError
from weft.evaluate import LogitsOf, compare
from weft.float_model import FloatModel
from weft.held_out import HeldOutStory, read_held_out, score_answers, story_tokens
from weft.kv_format import AUTO, KVFormat
from weft.model import Checkpoint, LoadedModel
from weft.model.lora import Adapter, merged
from weft.prefix_scoring import device_scorer, float_scorer
from weft.quality import FLOAT, Judged
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.weight_plan import WeightPlan, dequantized

__all__ = ["Evaluation", "read_texts"]

_SLACK = 4096


def read_texts(path: Path, limit: int | None = None) -> list[HeldOutStory]:
    """Texts to judge on: a held-out `.jsonl` with questions, or a JSON list of strings; the first
    `limit` of them."""
    if limit is not None and limit < 1:
        raise EvaluationError(f"limit is {limit}, but must be at least 1.")
    if path.suffix == ".jsonl":
        return read_held_out(path)[:limit]
    try:
        texts: object = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}.") from error
    found = cast(list[object], texts) if isinstance(texts, list) else []
    stories = [HeldOutStory(text=text, questions=()) for text in found if isinstance(text, str)]
    if not isinstance(texts, list) or len(stories) < len(found):
        raise FileError(f"{path} must be a JSON list of texts, or a .jsonl of stories.")
    return stories[:limit]


class Evaluation:
    """A model, with an adapter or none, and the texts it is judged on. Float models have the
    adapter merged into their weights, devices beside them."""

    def __init__(
        self,
        loaded: LoadedModel,
        stories: Sequence[HeldOutStory],
        adapter: Adapter | None = None,
    ) -> None:
        self.loaded, self.adapter = loaded, adapter
        self.stories = list(stories)
        self._float = float_scorer(FloatModel(self._adapted(loaded.checkpoint)))
        context = loaded.checkpoint.config.max_context
        self._ids = [story_tokens(s, loaded.tokenizer)[:context] for s in self.stories]
        self._judge = [self._float(ids) for ids in self._ids]

    def of_float(self, weights: WeightFormat | None = None, *, answers: bool = True) -> Judged:
        """The float model itself, or with the weights as quantised but arithmetic in float.

        Token embeddings stay float, as they do on the device but for their rounding to float16.
        """
        if weights is None:
            return self._judged(FLOAT, FLOAT, FLOAT, self._float, answers)
        plan = WeightPlan(layers=weights, lm_head=weights, token_embedding=None)
        model = FloatModel(self._adapted(dequantized(self.loaded.checkpoint, plan)))
        return self._judged(FLOAT, weights, FLOAT, float_scorer(model), answers)

    def of_device(
        self,
        weights: WeightFormat,
        *,
        kv_format: KVFormat,
        embedding: str = AUTO,
        device: str,
        preset: str,
        changes: Sequence[str] = (),
        answers: bool = True,
        device_options: dict[str, Any] | None = None,
    ) -> Judged:
        """The model on a device; ``changes`` are those of the preset (`changed_preset`)."""
        config = changed_preset(find_preset(preset), changes)
        rows = [] if embedding == AUTO else [f"embedding {embedding}"]
        arithmetic = ", ".join([device, preset, *changes, *rows])
        compiled = compile_model(
            self.loaded.checkpoint,
            config,
            weights,
            kv_format=kv_format,
            embedding=embedding,
            all_logits=True,
        )
        name = None
        if self.adapter is not None:
            name = self.adapter.name
            compiled = with_adapters(compiled, {name: self.adapter})
        with open_device(
            device, config, memory_bytes=compiled.memory.size + _SLACK, **(device_options or {})
        ) as opened:
            scorer = device_scorer(ModelRunner(compiled, opened), name)
            return self._judged(arithmetic, weights, kv_format, scorer, answers)

    def _adapted(self, checkpoint: Checkpoint) -> Checkpoint:
        return checkpoint if self.adapter is None else merged(checkpoint, self.adapter)

    def _judged(
        self, arithmetic: str, weights: str, kv: str, logits_of: LogitsOf, answers: bool
    ) -> Judged:
        comparison = compare(
            (ids, judge, judge if logits_of is self._float else logits_of(ids))
            for ids, judge in zip(self._ids, self._judge, strict=True)
        )
        asked = answers and any(story.questions for story in self.stories)
        return Judged(
            arithmetic=arithmetic,
            weights=weights,
            kv=kv,
            comparison=comparison,
            answers=score_answers(logits_of, self.loaded.tokenizer, self.stories)
            if asked
            else None,
        )
