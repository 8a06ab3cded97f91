# SPDX-License-Identifier: Apache-2.0
"""What 4-bit formats lose of a model's weights: the measurement behind decision 15.

    python bench/four_bits.py [MODEL ...]

Prints, over all matrices and the head, the root of the mean squared error over the root of the mean
square: rounded to nearest, with searched scales, with a fine grid of scales, and with a codebook
fitted to the weights besides.
"""

import argparse
import time

import numpy as np

from weft import codebooks, scale_search
from weft.codebooks import Codebook
from weft.model import load_model
from weft.model.checkpoint import Checkpoint, as_floats
from weft.quantize import WeightFormat

FINE = tuple(np.float32(percent / 100) for percent in range(60, 130))
FITTING_ROUNDS = 8


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["weft-stories"])
    for name in parser.parse_args().models:
        checkpoint = load_model(name).checkpoint
        blocks = blocks_of(checkpoint)
        print(f"{name}: {blocks.size:,} weights")
        print("format   rounded   searched        s   fine grid")
        for form in WeightFormat:
            if form.codebook is None or form is WeightFormat.W4:
                continue
            rounded = scale_search.round_blocks(blocks, form.codebook)
            start = time.perf_counter()
            searched = scale_search.search_blocks(blocks, form.codebook)
            seconds = time.perf_counter() - start
            coarse, scale_search.FACTORS = scale_search.FACTORS, FINE
            fine = scale_search.search_blocks(blocks, form.codebook)
            scale_search.FACTORS = coarse
            errors = [loss(blocks, *pair, form.codebook) for pair in (rounded, searched, fine)]
            print(f"{form:<8} {errors[0]:.4%}   {errors[1]:.4%}   {seconds:6.2f}   {errors[2]:.4%}")
        table, error = fitted(blocks)
        print(f"fitted             {error:.4%}   {table.tolist()}")


def blocks_of(checkpoint: Checkpoint) -> np.ndarray:
    """All whole blocks of the matrices and the head: float32 [blocks, 32]."""
    names = checkpoint.config.matrices
    matrices = [as_floats(layer.matrix(name)) for layer in checkpoint.layers for name in names]
    matrices.append(as_floats(checkpoint.matrix("lm_head")))
    whole = [matrix[:, : matrix.shape[1] // 32 * 32] for matrix in matrices]
    return np.concatenate([matrix.reshape(-1, 32) for matrix in whole])


def loss(blocks: np.ndarray, codes: np.ndarray, scales: np.ndarray, codebook: Codebook) -> float:
    """Root of the mean squared error over the root of the mean square."""
    error = scale_search.squared_errors(blocks, codes, scales, codebook).sum()
    return float(np.sqrt(error / np.square(blocks, dtype=np.float64).sum()))


def fitted(blocks: np.ndarray) -> tuple[Codebook, float]:
    """A codebook of these weights, from `iq4_nl`: each entry becomes that of least squares for the
    weights that the search gave to it, by turns with the search; and its loss."""
    table = codebooks.IQ4_NL
    for _ in range(FITTING_ROUNDS):
        codes, scales = scale_search.search_blocks(blocks, table)
        wide = np.broadcast_to(scales.astype(np.float64)[:, np.newaxis], blocks.shape).ravel()
        products = np.bincount(codes.ravel(), wide * blocks.ravel(), 16)
        squares = np.bincount(codes.ravel(), wide * wide, 16)
        entries = products / np.maximum(squares, np.finfo(float).tiny)
        table = np.rint(127 * entries / np.abs(entries).max()).astype(np.int8)
    return table, loss(blocks, *scale_search.search_blocks(blocks, table), table)


if __name__ == "__main__":
    main()
