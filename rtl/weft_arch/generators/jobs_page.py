# SPDX-License-Identifier: Apache-2.0
"""docs/jobs.md: rings, models, jobs and answers in the DRAM."""

import inspect

from weft_arch import jobs
from weft_arch.generators.sources import markdown, member_table
from weft_arch.jobs import EndReason, JobError, RecordKind
from weft_arch.records import Record32

__all__ = ["render"]


def render() -> str:
    """The page."""
    text = markdown(inspect.getdoc(jobs) or "")
    first, bytes_of = jobs.FIRMWARE_OFFSET, jobs.ANSWER_OFFSET
    parts = [
        "# Jobs",
        text,
        f"## Rings\n\n{jobs.RINGS_BYTES} bytes. The host's part:\n\n" + _table(jobs.Rings),
        "The firmware's part:\n\n" + _table(jobs.RingsState, first),
        f"## Model\n\n{jobs.MODEL_BYTES} bytes.\n\n" + _table(jobs.ModelDescriptor),
        f"## Job\n\nA slot has {jobs.JOB_BYTES} bytes; this is its first half.\n\n"
        + _table(jobs.Job),
        "## Answer\n\nThe second half. `fault_cause` to `engine_store` are about the run that "
        "failed, else 0.\n\n" + _table(jobs.JobAnswer, bytes_of),
        f"## Record\n\n{jobs.RECORD_BYTES} bytes.\n\n" + _table(jobs.Record),
    ]
    for kind in (RecordKind, EndReason, JobError):
        parts.append(f"## {kind.__name__}\n\n{inspect.getdoc(kind)}\n\n{member_table(kind)}")
    return "\n\n".join(parts) + "\n"


def _table(kind: type[Record32], first: int = 0) -> str:
    rows = ["| offset | bytes | field | meaning |", "|---|---|---|---|"]
    for place in kind.places():
        rows.append(f"| {first + place.offset} | {place.bytes} | `{place.name}` | {place.doc} |")
    return "\n".join(rows)
