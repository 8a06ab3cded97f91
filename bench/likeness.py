# SPDX-License-Identifier: Apache-2.0
"""Measures the Spearman figures of docs/quality.md.

    python bench/likeness.py [-w FORMATS] [-n PAIRS]

Embeds the pairs of the STS benchmark in ../shared with an encoder, in float arithmetic and on the
reference, which has the bits of the RTL; writes a record into docs/quality/likeness, where rows of
other formats stay, and then the page. With -n only the first pairs are used and nothing is written.
"""

import argparse
import json
import sys
from pathlib import Path

from weft import quality_page
from weft.embedder import DEFAULT_ENCODER, Embedder
from weft.likeness import (
    LikenessReport,
    LikenessRow,
    embeddings,
    judge_likeness,
    read_likeness,
)
from weft.sentence_pairs import read_pairs

ROOT = Path(__file__).resolve().parents[1]
PAIRS = ROOT.parent / "shared" / "data" / "sts-benchmark-test-even.tsv"
FORMATS = "w8,w4,w4s"
FLOAT, REFERENCE = "float", "reference, default"


def main() -> int:
    """Measure and write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-w", default=FORMATS, help="formats of the weights, separated by commas")
    parser.add_argument("-n", type=int, help="pairs to use, default: all; then nothing is written")
    arguments = parser.parse_args()
    if not PAIRS.exists():
        print("nothing is measured: it needs ../shared/data.")
        return 0
    pairs = read_pairs(PAIRS)[: arguments.n]
    judge = embeddings(Embedder(device="float"), pairs)
    path = ROOT / quality_page.LIKENESS / f"{DEFAULT_ENCODER}.json"
    report = LikenessReport(model=DEFAULT_ENCODER, texts=PAIRS.name, pairs=len(pairs), rows=())
    if path.exists() and arguments.n is None:
        report = read_likeness(path)
    for weights in (FLOAT, *arguments.w.split(",")):
        arithmetic, found = FLOAT, judge
        if weights != FLOAT:
            arithmetic, found = REFERENCE, embeddings(Embedder(weights=weights), pairs)
        order, cosine = judge_likeness(found, judge, pairs)
        print(f"{weights:>8}  Spearman {order:.4f}  mean cosine to float {cosine:.5f}", flush=True)
        row = LikenessRow(
            arithmetic=arithmetic, weights=weights, spearman=order, mean_cosine=cosine
        )
        report = report.with_row(row)
        if arguments.n is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{json.dumps(report.to_json(), indent=1)}\n")
    return 0 if arguments.n is not None else quality_page.main([])


if __name__ == "__main__":
    sys.exit(main())
