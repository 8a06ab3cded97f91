# SPDX-License-Identifier: Apache-2.0
"""Text to tokens and back: one protocol, one implementation per tokenizer format."""

from weft.tokenizer.gguf import gguf_special_tokens, gguf_tokenizer
from weft.tokenizer.huggingface import HuggingFaceTokenizer, load_huggingface_tokenizer
from weft.tokenizer.llama2c import Llama2cTokenizer, load_llama2c_tokenizer
from weft.tokenizer.protocol import Tokenizer
from weft.tokenizer.sentencepiece import SentencePieceTokenizer
from weft.tokenizer.streaming import StreamingDetokenizer

__all__ = [
    "HuggingFaceTokenizer",
    "Llama2cTokenizer",
    "SentencePieceTokenizer",
    "StreamingDetokenizer",
    "Tokenizer",
    "gguf_special_tokens",
    "gguf_tokenizer",
    "load_huggingface_tokenizer",
    "load_llama2c_tokenizer",
]
