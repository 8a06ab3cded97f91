# SPDX-License-Identifier: Apache-2.0
"""One completion on its way: what has been chosen, what can be shown, when it ends."""

from weft.outputs import CompletionOutput, Metrics, RequestOutput
from weft.runtime import Counters
from weft.sampling import Logits, Sampler, SamplingParams
from weft.stop import StopWatch
from weft.tokenizer import StreamingDetokenizer, Tokenizer

__all__ = ["Request"]


class Request:
    """A prompt, the tokens chosen for it, and the counters of the work that it took part in.

    `adapter` is the name of the one that it is for, or None; `room` is how many tokens the context
    has left behind the prompt; `budget` how many may be chosen; `eos_ids` are those that end the
    text; `steps` counts the decode steps that it had.
    """

    def __init__(
        self,
        prompt: str,
        prompt_ids: list[int],
        params: SamplingParams,
        tokenizer: Tokenizer,
        room: int,
        adapter: str | None = None,
    ) -> None:
        self.prompt, self.prompt_ids, self.params = prompt, prompt_ids, params
        self.adapter = adapter
        self.token_ids: list[int] = []
        self.finish_reason: str | None = None
        self.prefill, self.decode, self.steps = Counters(), Counters(), 0
        self.sampler = Sampler(params)
        self._words = StreamingDetokenizer(tokenizer, prompt_ids)
        self._watch = StopWatch(params.stop_texts)
        self.eos_ids = () if params.ignore_eos else tokenizer.eos_ids
        self.budget = room if params.max_tokens is None else min(params.max_tokens, room)

    @property
    def position(self) -> int:
        """Where the token that was chosen last goes."""
        return len(self.prompt_ids) + len(self.token_ids) - 1

    @property
    def at_end_of_text(self) -> bool:
        """Whether the token that was chosen last ended the text; nobody is shown that one."""
        return self.token_ids[-1] in self.eos_ids

    def choose(self, logits: Logits) -> str:
        """Choose the next token from its logits [vocab_size]; the text that becomes certain."""
        return self.take(self.sampler.sample(logits, len(self.token_ids)))

    def take(self, token_id: int) -> str:
        """Append a token; the text that becomes certain with it."""
        self.token_ids.append(token_id)
        if self.at_end_of_text:
            self.finish_reason = "stop"
            return ""
        text = self._watch.add(self._words.push(token_id))
        if self._watch.stopped:
            self.finish_reason = "stop"
        elif len(self.token_ids) == self.budget:
            self.finish_reason = "length"
        return text

    def rest(self) -> str:
        """The text that was held back, once the request has finished."""
        if self._watch.stopped:
            return ""
        return self._watch.add(self._words.finish()) + self._watch.flush()

    def output(self, metrics: Metrics) -> RequestOutput:
        """What the caller gets, after `rest`."""
        return RequestOutput(
            prompt=self.prompt,
            prompt_token_ids=self.prompt_ids,
            outputs=[
                CompletionOutput(
                    index=0,
                    text=self._watch.text,
                    token_ids=self.token_ids,
                    finish_reason=self.finish_reason or "length",
                )
            ],
            metrics=metrics,
        )
