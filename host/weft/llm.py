# SPDX-License-Identifier: Apache-2.0
"""Text in, text out: a model on a device."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.errors import ModelError, PromptError, SamplingError, WeftError
from weft.model import load_model
from weft.model.load import DEFAULT_MODEL
from weft.outputs import CompletionOutput, Metrics, RequestOutput, StreamedToken
from weft.quantize import WeightFormat
from weft.runtime import Counters, ModelRunner
from weft.sampling import Sampler, SamplingParams
from weft.stop import StopWatch
from weft.tokenizer import StreamingDetokenizer
from weft_arch.device import DeviceError

__all__ = ["LLM"]

_MEMORY_SLACK = 4096


class LLM:
    """A model, compiled for a preset and loaded onto a device.

    - `model`: a shipped model's name, a Hugging Face style folder, a GGUF file or a llama2.c
      `.bin` file.
    - `device`: "rtl" (cycle accurate), "reference" (NumPy, the same bits) or another that is
      installed.
    - `preset`: an accelerator configuration of `weft info`.
    - `weights`: "w8" or "w4".
    - `max_model_len`: positions of context; the model's own by default.
    - `device_options`: passed to the device, such as `memory_latency_cycles` or `trace` for "rtl".

    Raises `WeftError` with one sentence when any of it cannot be used.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str = "rtl",
        preset: str = "default",
        weights: str = "w8",
        tokenizer: str | Path | None = None,
        max_model_len: int | None = None,
        device_options: dict[str, Any] | None = None,
    ) -> None:
        form = WeightFormat.named(weights)
        self.config = find_preset(preset)
        self.loaded = load_model(model, tokenizer=tokenizer)
        self.tokenizer = self.loaded.tokenizer
        context = self.loaded.checkpoint.config.max_context
        if max_model_len is not None and not 1 <= max_model_len <= context:
            raise ModelError(
                f"max_model_len is {max_model_len}, but must be between 1 and the {context} "
                "positions of the model."
            )
        self.compiled = compile_model(
            self.loaded.checkpoint, self.config, form, max_context=max_model_len
        )
        self.device = open_device(
            device,
            self.config,
            memory_bytes=self.compiled.memory.size + _MEMORY_SLACK,
            **(device_options or {}),
        )
        self.runner = ModelRunner(self.compiled, self.device)

    @property
    def max_model_len(self) -> int:
        """Positions of context."""
        return self.compiled.max_context

    def generate(
        self,
        prompts: str | Sequence[str],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
    ) -> list[RequestOutput]:
        """Complete each prompt; one `RequestOutput` per prompt, in order.

        `sampling_params` is one for all prompts or one each. All prompts are checked before the
        first one runs.
        """
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        params = self._params_for(texts, sampling_params)
        for text in texts:
            self._encode(text)
        finished: list[RequestOutput] = []
        for text, one in zip(texts, params, strict=True):
            finished.extend(s.output for s in self.stream(text, one) if s.output is not None)
        return finished

    @staticmethod
    def _params_for(
        texts: list[str], params: SamplingParams | Sequence[SamplingParams] | None
    ) -> list[SamplingParams]:
        if params is None or isinstance(params, SamplingParams):
            return [params or SamplingParams()] * len(texts)
        if len(params) != len(texts):
            raise SamplingError(
                f"there are {len(params)} sampling parameters for {len(texts)} prompts; give one "
                "for all, or one each."
            )
        return list(params)

    def _encode(self, prompt: str) -> list[int]:
        token_ids = self.tokenizer.encode(prompt)
        if not token_ids:
            raise PromptError("the prompt is empty, and this model has no token to begin with.")
        if len(token_ids) >= self.max_model_len:
            raise PromptError(
                f"the prompt has {len(token_ids)} tokens; the context of {self.max_model_len} "
                "must hold them and at least one more."
            )
        return token_ids

    def stream(
        self, prompt: str, sampling_params: SamplingParams | None = None
    ) -> Iterator[StreamedToken]:
        """Complete a prompt token by token; the last item carries the finished request."""
        params = sampling_params or SamplingParams()
        prompt_ids = self._encode(prompt)
        return self._stream(prompt, prompt_ids, params)

    def _stream(
        self, prompt: str, prompt_ids: list[int], params: SamplingParams
    ) -> Iterator[StreamedToken]:
        room = self.max_model_len - len(prompt_ids)
        budget = room if params.max_tokens is None else min(params.max_tokens, room)
        sampler = Sampler(params)
        words = StreamingDetokenizer(self.tokenizer, prompt_ids)
        watch = StopWatch(params.stop_texts)
        token_ids: list[int] = []
        start = self.runner.counters()
        self._guarded(lambda: self.runner.prefill(prompt_ids, store_logits=not params.greedy))
        after_prefill = self.runner.counters()
        finish_reason = "length"
        while True:
            token_id = self._choose(sampler, len(token_ids))
            token_ids.append(token_id)
            if token_id in self.tokenizer.eos_ids and not params.ignore_eos:
                finish_reason = "stop"
                break
            text = watch.add(words.push(token_id))
            if watch.stopped:
                finish_reason = "stop"
                yield StreamedToken(text=text, token_id=token_id)
                break
            yield StreamedToken(text=text, token_id=token_id)
            if len(token_ids) == budget:
                break
            self._step(token_id, len(prompt_ids) + len(token_ids) - 1, params)
        rest = "" if watch.stopped else watch.add(words.finish()) + watch.flush()
        end = self.runner.counters()
        metrics = Metrics.of(
            self.config,
            self.device.name,
            prompt_tokens=len(prompt_ids),
            completion_tokens=len(token_ids),
            prefill=after_prefill - start,
            decode=end - after_prefill,
            decode_steps=len(token_ids) - 1,
        )
        completion = CompletionOutput(
            index=0, text=watch.text, token_ids=token_ids, finish_reason=finish_reason
        )
        yield StreamedToken(
            text=rest,
            token_id=None,
            output=RequestOutput(
                prompt=prompt,
                prompt_token_ids=prompt_ids,
                outputs=[completion],
                metrics=metrics,
            ),
        )

    def _choose(self, sampler: Sampler, step: int) -> int:
        if sampler.params.greedy:
            return int(self.runner.top_k().token_ids[0])
        return sampler.sample(self.runner.logits()[0], step)

    def _step(self, token_id: int, position: int, params: SamplingParams) -> None:
        self._guarded(
            lambda: self.runner.run_chunk(
                [token_id], position=position, store_logits=not params.greedy
            )
        )

    @staticmethod
    def _guarded(run: Any) -> Counters | None:
        """A device's error as a `WeftError`."""
        try:
            return run()
        except DeviceError as error:
            raise WeftError(str(error)) from error

    def close(self) -> None:
        """Release the device."""
        self.device.close()

    def __enter__(self) -> "LLM":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
