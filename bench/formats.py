# SPDX-License-Identifier: Apache-2.0
"""Accuracy against activation bits: the measurement behind decision 0002.

    python bench/formats.py [MODEL TEXTS] [-n N]

Prints mean KL divergence to the float model and top-1 agreement for 8 to 12 activation bits, on the
reference, with w8 weights.
"""

import argparse
import dataclasses
from pathlib import Path

from weft.compiler import compile_model
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.held_out import story_tokens
from weft.model import held_out_path, load_model
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.scoring import read_texts
from weft_arch.config import preset
from weft_sim.reference import ReferenceDevice


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="weft-stories")
    parser.add_argument("texts", nargs="?", type=Path)
    parser.add_argument("-n", type=int, default=10, help="texts to use")
    arguments = parser.parse_args()
    loaded = load_model(arguments.model)
    texts = arguments.texts or held_out_path(loaded)
    assert texts is not None, "this model has no held-out texts of its own: name a file"
    context = loaded.checkpoint.config.max_context
    stories = read_texts(texts)[: arguments.n]
    sequences = [story_tokens(story, loaded.tokenizer)[:context] for story in stories]
    judge = FloatModel(loaded.checkpoint)
    expected = [judge.logits(ids) for ids in sequences]
    print("activation bits   mean KL    top-1")
    for bits in (8, 9, 10, 12):
        config = dataclasses.replace(preset("default"), activation_bits=bits)
        compiled = compile_model(loaded.checkpoint, config, WeightFormat.W8, all_logits=True)
        device = ReferenceDevice(config, memory_bytes=compiled.memory.size + 4096)
        runner = ModelRunner(compiled, device)
        measured = (runner.score(ids) for ids in sequences)
        c = compare(zip(sequences, expected, measured, strict=True))
        print(f"{bits:>15}   {c.mean_kl:.6f}   {100 * c.top1_agreement:.2f} %")


if __name__ == "__main__":
    main()
