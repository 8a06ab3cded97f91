# SPDX-License-Identifier: Apache-2.0
"""Text in, text out: a model on a device."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from weft.compiler import compile_model
from weft.compiler.adapters import with_adapters
from weft.devices import find_preset, open_device
from weft.embedding_format import check_embedding_name
from weft.engine import Engine, HostEngine
from weft.errors import ModelError, PromptError, SamplingError, WeftError
from weft.jobs import JobEngine
from weft.kv_format import AUTO, check_kv_name
from weft.link import LinkDevice
from weft.model import load_model
from weft.model.load import DEFAULT_MODEL, with_merged_adapter
from weft.model.lora_files import read_adapter
from weft.outputs import Metrics, RequestOutput, StreamedToken
from weft.request import Request
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft.weight_choice import check_name, choose_format

__all__ = ["LLM"]

MOST_SEQUENCES = 1024
_MEMORY_SLACK = 4096


class LLM:
    """A model, compiled for a preset and loaded onto a device.

    - `model`: a shipped model's name, a Hugging Face style folder, a GGUF file or a llama2.c
      `.bin` file.
    - `device`: "rtl" (cycle accurate), "reference" (NumPy, the same bits) or another that is
      installed.
    - `preset`: an accelerator configuration of `weft info`.
    - `weights`: "w8" or "w4", the formats of GGUF's Q8_0 and Q4_0; or for a model in floats four
      bits with searched scales, "w4s", or one of its codebooks, "int4", "fp4", "nf4", "iq4_nl".
    - `kv_format`: bits of keys and values in memory, "k8v8" or "k16v8", whose keys have 15; "auto"
      takes the wide keys where heads have fewer than 32 channels.
    - `embedding`: rows of the token embedding in memory, "f16" or "q8", about half as many bytes;
      "auto" takes q8 where the file has such blocks, which then stay unchanged.
    - `adapters`: low-rank adapters, PEFT folders or GGUF files, by the names that requests choose
      them by. All are resident beside the weights, which stay as they are.
    - `lora_merge`: an adapter that is added to the weights before anything else, for all requests.
    - `max_model_len`: positions of context; the model's own by default.
    - `max_num_seqs`: prompts that are completed at once; each has its own keys and values in
      memory.
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
        kv_format: str = AUTO,
        embedding: str = AUTO,
        tokenizer: str | Path | None = None,
        adapters: Mapping[str, str | Path] | None = None,
        lora_merge: str | Path | None = None,
        max_model_len: int | None = None,
        max_num_seqs: int = 8,
        device_options: dict[str, Any] | None = None,
    ) -> None:
        check_name(weights)
        check_kv_name(kv_format)
        check_embedding_name(embedding)
        self.config = find_preset(preset)
        self.loaded = load_model(model, tokenizer=tokenizer)
        if self.loaded.checkpoint.config.head == "none":
            raise ModelError(
                f"{self.loaded.name} is an encoder, which continues no text; embeddings come from "
                "weft embed."
            )
        if lora_merge is not None:
            self.loaded = with_merged_adapter(self.loaded, Path(lora_merge))
        shape = self.loaded.checkpoint.config
        found = {name: read_adapter(Path(path), shape) for name, path in (adapters or {}).items()}
        self.tokenizer = self.loaded.tokenizer
        context = self.loaded.checkpoint.config.max_context
        if max_model_len is not None and not 1 <= max_model_len <= context:
            raise ModelError(
                f"max_model_len is {max_model_len}, but must be between 1 and the {context} "
                "positions of the model."
            )
        if not 1 <= max_num_seqs <= MOST_SEQUENCES:
            raise ModelError(
                f"max_num_seqs is {max_num_seqs}, but must be between 1 and {MOST_SEQUENCES}."
            )
        self.compiled = compile_model(
            self.loaded.checkpoint,
            self.config,
            choose_format(weights, self.loaded.checkpoint),
            kv_format=kv_format,
            embedding=embedding,
            max_context=max_model_len,
            max_sequences=max_num_seqs,
        )
        if found:
            self.compiled = with_adapters(self.compiled, found)
        self.device = open_device(
            device,
            self.config,
            memory_bytes=self.compiled.memory.size + _MEMORY_SLACK,
            **(device_options or {}),
        )
        self.runner = ModelRunner(self.compiled, self.device)
        self._engine = self._find_engine()
        self._free = list(range(max_num_seqs))
        """sequences that no request uses"""

    @property
    def max_model_len(self) -> int:
        """Positions of context."""
        return self.compiled.max_context

    def generate(
        self,
        prompts: str | Sequence[str],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        adapter: str | Sequence[str | None] | None = None,
    ) -> list[RequestOutput]:
        """Complete each prompt; one `RequestOutput` per prompt, in order.

        `sampling_params` is one for all prompts or one each, and so is `adapter`, the name of a
        resident one; None is the model itself. All prompts are checked before the first one runs.
        Up to `max_num_seqs` run at once, a token each per step; another joins when one ends. Each
        gets the tokens that it would get alone.
        """
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        params = self._params_for(texts, sampling_params)
        names = self._adapters_for(texts, adapter)
        each = zip(texts, params, names, strict=True)
        requests = [self._request(*one) for one in each]
        waiting, running = deque(requests), dict[int, Request]()
        try:
            while waiting or running:
                while waiting and (self._free or not running):
                    sequence = self._take_sequence()
                    running[sequence] = waiting.popleft()
                    self._engine.begin(running[sequence], sequence)
                self._release({s: r for s, r in running.items() if r.finish_reason})
                running = {s: r for s, r in running.items() if not r.finish_reason}
                self._engine.step(running)
        finally:
            self._release(running)
        for request in requests:
            request.rest()
        return [self._finished(request) for request in requests]

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

    @staticmethod
    def _adapters_for(
        texts: list[str], adapter: str | Sequence[str | None] | None
    ) -> list[str | None]:
        if adapter is None or isinstance(adapter, str):
            return [adapter] * len(texts)
        if len(adapter) != len(texts):
            raise PromptError(
                f"there are {len(adapter)} adapters for {len(texts)} prompts; name one for all, or "
                "one each."
            )
        return list(adapter)

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
        self,
        prompt: str,
        sampling_params: SamplingParams | None = None,
        *,
        adapter: str | None = None,
    ) -> Iterator[StreamedToken]:
        """Complete a prompt token by token, with an adapter or without; the last item carries the
        finished request. Up to `max_num_seqs` streams may be under way at once."""
        return self._stream(self._request(prompt, sampling_params or SamplingParams(), adapter))

    def _request(self, prompt: str, params: SamplingParams, adapter: str | None) -> Request:
        self.runner.check_adapter(adapter)
        ids = self._encode(prompt)
        return Request(prompt, ids, params, self.tokenizer, self.max_model_len - len(ids), adapter)

    def _stream(self, request: Request) -> Iterator[StreamedToken]:
        sequence = self._take_sequence()
        try:
            text = self._engine.begin(request, sequence)
            while True:
                if not request.at_end_of_text:
                    yield StreamedToken(text=text, token_id=request.token_ids[-1])
                if request.finish_reason:
                    break
                (text,) = self._engine.step({sequence: request})
        finally:
            self._release({sequence: request})
        rest = request.rest()
        yield StreamedToken(text=rest, token_id=None, output=self._finished(request))

    def _take_sequence(self) -> int:
        """The first sequence that no request uses."""
        if not self._free:
            raise WeftError(
                f"all {self.compiled.max_sequences} sequences are in use; finish a stream first, "
                "or make the LLM with a larger max_num_seqs."
            )
        return self._free.pop(0)

    def _release(self, ended: Mapping[int, Request]) -> None:
        """The sequences of these requests are free, whatever happens at their end."""
        self._free = sorted({*self._free, *ended})
        for request in ended.values():
            self._engine.end(request)

    def _find_engine(self) -> Engine:
        """The board's firmware, where there is one; it knows nothing of adapters."""
        if isinstance(self.device, LinkDevice) and not self.compiled.adapters:
            jobs = JobEngine.connect(self.runner, self.device)
            if jobs is not None:
                return jobs
        return HostEngine(self.runner)

    def _finished(self, request: Request) -> RequestOutput:
        metrics = Metrics.of(
            self.config,
            self.device.name,
            prompt_tokens=len(request.prompt_ids),
            completion_tokens=len(request.token_ids),
            prefill=request.prefill,
            decode=request.decode,
            decode_steps=request.steps,
        )
        return request.output(metrics)

    def close(self) -> None:
        """Release the device."""
        self.device.close()

    def __enter__(self) -> "LLM":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
