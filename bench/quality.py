# SPDX-License-Identifier: Apache-2.0
"""Measures the figures of docs/quality.md: what `make quality` runs.

    python bench/quality.py [-n TEXTS] [-w FORMATS] [--kv-format FORMATS] [--model NAME ...] [--add]

Runs `weft eval` twice, with the formats and then with the widest ones on offer, for the shipped
model on its held-out stories and, where ../shared is beside the project, for stories260K on sampled
stories; writes a record of each into docs/quality and then the
page. With --add the formats join those of a record on the same texts, or take their places.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from weft.quality import read_report

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "docs" / "quality"
SHARED = ROOT.parent / "shared"
STORIES260K = SHARED / "models" / "stories260K" / "stories260K.bin"
SAMPLED = SHARED / "data" / "stories-sampled.json"
FORMATS = "w8,w4,int4,fp4,nf4,iq4_nl"

WIDEST = ["-w", "w8", "--kv-format", "k16v8", "--set", "activation_bits=12"]
"""What the bar for the widest formats is about."""

MODELS: dict[str, list[str]] = {
    "weft-stories": [],
    "stories260K": ["-m", str(STORIES260K), "--texts", str(SAMPLED)],
}
"""What `weft eval` is told for each model."""


def main() -> int:
    """Measure and write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, help="texts to use of each model, default: all")
    parser.add_argument("-w", default=FORMATS, help="formats of the weights, separated by commas")
    parser.add_argument(
        "--kv-format", default="k8v8,k16v8", help="formats of keys and values, also by commas"
    )
    parser.add_argument("--model", choices=MODELS, nargs="*", default=list(MODELS))
    parser.add_argument("--add", action="store_true", help="keep the other rows of the record")
    arguments = parser.parse_args()
    RECORDS.mkdir(parents=True, exist_ok=True)
    for name in arguments.model:
        if not all(Path(path).exists() for path in MODELS[name] if not path.startswith("-")):
            print(f"{name} is left out: it needs ../shared/models and ../shared/data.")
            continue
        limit = [] if arguments.n is None else ["-n", str(arguments.n)]
        path = RECORDS / f"{name}.json"
        report = read_report(path) if arguments.add and path.is_file() else None
        for formats in (["-w", arguments.w, "--kv-format", arguments.kv_format], WIDEST):
            command = ["eval", "--json", *formats, *limit, *MODELS[name]]
            weft = [sys.executable, "-c", "from weft.cli import main; main()"]
            done = subprocess.run([*weft, *command], stdout=subprocess.PIPE)
            if done.returncode:
                return done.returncode
            new = RECORDS / f"{name}.new.json"
            new.write_bytes(done.stdout)
            found = read_report(new)
            new.unlink()
            report = found if report is None else report.merged(found)
        path.write_text(f"{json.dumps(report.to_json(), indent=1)}\n")
    return subprocess.run([sys.executable, "-m", "weft.quality_page"]).returncode


if __name__ == "__main__":
    sys.exit(main())
