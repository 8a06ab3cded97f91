# SPDX-License-Identifier: Apache-2.0
"""weft: transformer inference on an open accelerator.

>>> from weft import LLM, SamplingParams
>>> llm = LLM("weft-stories", device="reference")
>>> print(llm.generate("Once upon a time", SamplingParams(temperature=0, max_tokens=64))[0].text)
"""

from weft.embedder import Embedder
from weft.errors import WeftError
from weft.llm import LLM
from weft.outputs import CompletionOutput, Metrics, RequestOutput, StreamedToken
from weft.sampling_params import SamplingParams

__all__ = [
    "LLM",
    "CompletionOutput",
    "Embedder",
    "Metrics",
    "RequestOutput",
    "SamplingParams",
    "StreamedToken",
    "WeftError",
]
