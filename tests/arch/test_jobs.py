# SPDX-License-Identifier: Apache-2.0
"""The layout of jobs."""

from weft_arch import jobs
from weft_arch.jobs import Job, JobAnswer, ModelDescriptor, Record, Rings, RingsState


def test_what_is_packed_comes_back() -> None:
    rings = Rings(
        memory_base=1,
        memory_bytes=2,
        job_ring=3,
        job_entries=4,
        token_ring=5,
        token_entries=6,
        job_head=7,
    )
    assert Rings.unpack(rings.pack()) == rings
    assert rings.pack()[:8] == b"WJOB\x01\0\0\0"
    job = Job(number=9, model=64, prompt=128, prompt_count=3, max_tokens=5, seed=(1 << 64) - 1)
    assert Job.unpack(job.pack() + bytes(200)) == job
    assert Record.unpack(Record(number=1, kind=0, value=2, position=3).pack()).position == 3


def test_magics_are_text() -> None:
    names = [place.name for place in ModelDescriptor.places()][2:]
    model = ModelDescriptor(**dict.fromkeys(names, 0))
    assert model.pack()[:8] == b"WMDL\x01\0\0\0"
    assert ModelDescriptor.unpack(model.pack()) == model


def test_places_that_firmware_and_host_rely_on() -> None:
    assert Rings.size() <= jobs.FIRMWARE_OFFSET
    assert jobs.FIRMWARE_OFFSET + RingsState.size() <= jobs.RINGS_BYTES
    assert ModelDescriptor.size() <= jobs.MODEL_BYTES
    assert Job.size() == 68
    assert Job.offset("seed") == 40
    assert jobs.ANSWER_OFFSET + JobAnswer.size() == jobs.JOB_BYTES
    assert Record.size() == jobs.RECORD_BYTES
