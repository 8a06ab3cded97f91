# SPDX-License-Identifier: Apache-2.0
"""firmware/weft_jobs.h and firmware/exp2_table.h: jobs and the choice of tokens for C."""

from weft_arch import jobs, sampling
from weft_arch.generators.c_text import block, define, enumeration
from weft_arch.generators.sources import constant_docs

__all__ = ["render", "render_table"]

_HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m weft_arch.generate` from the Python package weft_arch; do not edit. */
#ifndef {guard}
#define {guard}
"""
_PER_LINE = 7


def render() -> str:
    """The header with the jobs' layout."""
    docs = constant_docs(jobs.__name__)
    sizes = (
        "JOBS_VERSION",
        "RINGS_BYTES",
        "FIRMWARE_OFFSET",
        "MODEL_BYTES",
        "JOB_BYTES",
        "ANSWER_OFFSET",
        "RECORD_BYTES",
        "MOST_STOPS",
    )
    lines = [define(name, getattr(jobs, name), docs[name]) for name in sizes]
    for name in ("RINGS_MAGIC", "MODEL_MAGIC"):
        lines.append(define(name, f"{getattr(jobs, name):#010x}u", docs[name]))
    name = "DEFAULT_RUN_CYCLES"
    lines.append(define(name, f"{jobs.DEFAULT_RUN_CYCLES}u", docs[name]))
    parts = [_HEAD.format(guard="WEFT_JOBS_H"), "/* docs/jobs.md says what it all means. */\n"]
    parts.append(block("Sizes in bytes, and numbers", lines))
    parts += [enumeration(k) for k in (jobs.RecordKind, jobs.EndReason, jobs.JobError)]
    for title, prefix, kind in (
        ("Rings, the host's part", "RINGS", jobs.Rings),
        ("Rings, the firmware's part, from WEFT_FIRMWARE_OFFSET on", "STATE", jobs.RingsState),
        ("A model", "MODEL", jobs.ModelDescriptor),
        ("A job", "JOB", jobs.Job),
        ("Its answer, from WEFT_ANSWER_OFFSET on", "ANSWER", jobs.JobAnswer),
        ("A record of the token ring", "RECORD", jobs.Record),
    ):
        offsets = [
            define(f"{prefix}_{place.name.upper()}_OFFSET", place.offset, place.doc)
            for place in kind.places()
        ]
        parts.append(block(f"{title}: byte offsets", offsets))
    return "\n".join([*parts, "#endif\n"])


def render_table() -> str:
    """The header with the constants of sampling."""
    docs = constant_docs(sampling.__name__)
    names = ("LOGIT_FRACTION_BITS", "DISTANCE_SHIFT", "TOP_P_BITS")
    lines = [define(name, getattr(sampling, name), docs[name]) for name in names]
    for name in ("GOLDEN", "MIX_A", "MIX_B"):
        lines.append(define(name, f"{getattr(sampling, name):#018x}ull", docs[name]))
    table = [f"{value:#010x}u" for value in sampling.EXP2_TABLE]
    rows = [
        "    " + ", ".join(table[i : i + _PER_LINE]) + "," for i in range(0, len(table), _PER_LINE)
    ]
    head = f"static const uint32_t weft_exp2_table[{len(table)}] = {{"
    return "\n".join(
        [
            _HEAD.format(guard="WEFT_EXP2_TABLE_H"),
            "#include <stdint.h>\n",
            block("Constants of sampling", lines),
            block("floor(2**(31 - i/256)) for i = 0 to 256", [head, *rows, "};"]),
            "#endif\n",
        ]
    )
