# SPDX-License-Identifier: Apache-2.0
"""Judges a model on a device against its float model: what `weft eval` prints."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.errors import FileError
from weft.evaluate import Comparison, Logits, compare
from weft.float_model import FloatModel
from weft.held_out import AnswerScore, HeldOutStory, read_held_out, score_answers, story_tokens
from weft.model import LoadedModel
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.weight_plan import WeightPlan, dequantized

__all__ = ["Evaluation", "Judged", "read_texts"]

_SLACK = 4096


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One row of the table: a way to run the model, against the float model."""

    name: str
    weights: str
    comparison: Comparison
    answers: AnswerScore | None


def read_texts(path: Path) -> list[HeldOutStory]:
    """Texts to judge on: a held-out `.jsonl` with questions, or a JSON list of strings."""
    if path.suffix == ".jsonl":
        return read_held_out(path)
    try:
        texts: object = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}.") from error
    found = cast(list[object], texts) if isinstance(texts, list) else []
    stories = [HeldOutStory(text=text, questions=()) for text in found if isinstance(text, str)]
    if not isinstance(texts, list) or len(stories) < len(found):
        raise FileError(f"{path} must be a JSON list of texts, or a .jsonl of stories.")
    return stories


class Evaluation:
    """A model and the texts it is judged on."""

    def __init__(self, loaded: LoadedModel, stories: Sequence[HeldOutStory]) -> None:
        self.loaded = loaded
        self.stories = list(stories)
        self._float = FloatModel(loaded.checkpoint)
        context = loaded.checkpoint.config.max_context
        self._ids = [story_tokens(s, loaded.tokenizer)[:context] for s in self.stories]
        self._judge = [self._float.logits(ids) for ids in self._ids]

    def of_float(self, weights: WeightFormat | None = None, *, answers: bool = True) -> Judged:
        """The float model itself, or with the weights as quantised but arithmetic in float."""
        model = self._float
        if weights is not None:
            plan = WeightPlan.named(weights)
            model = FloatModel(dequantized(self.loaded.checkpoint, plan))
        name = "float" if weights is None else "float arithmetic"
        return self._judged(name, weights or "float", model.logits, answers)

    def of_device(
        self,
        weights: WeightFormat,
        *,
        device: str,
        preset: str,
        answers: bool = True,
        device_options: dict[str, Any] | None = None,
    ) -> Judged:
        """The model on a device."""
        config = find_preset(preset)
        compiled = compile_model(self.loaded.checkpoint, config, weights, all_logits=True)
        with open_device(
            device, config, memory_bytes=compiled.memory.size + _SLACK, **(device_options or {})
        ) as opened:
            runner = ModelRunner(compiled, opened)
            return self._judged(f"{device}, {preset}", weights, runner.score, answers)

    def _judged(self, name: str, weights: str, logits_of: Any, answers: bool) -> Judged:
        def pairs() -> Any:
            for ids, judge in zip(self._ids, self._judge, strict=True):
                logits: Logits = logits_of(ids)
                yield ids, judge, logits

        asked = answers and any(story.questions for story in self.stories)
        return Judged(
            name=name,
            weights=weights,
            comparison=compare(pairs()),
            answers=score_answers(logits_of, self.loaded.tokenizer, self.stories)
            if asked
            else None,
        )
