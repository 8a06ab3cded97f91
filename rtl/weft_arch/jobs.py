# SPDX-License-Identifier: Apache-2.0
"""Jobs: how a host hands whole generations to the board's firmware, and gets tokens back.

Everything lies in the DRAM, little endian, in words of 32 bits at multiples of 4; a 64-bit number
is its low word and then its high one. Addresses are the accelerator's byte addresses. The SoC
register MAILBOX holds the address of the **rings**, which say where the job ring and the token ring
are. A **job** is a slot of the job ring; it names a **model**, a list of prompt ids and a list of
stop tokens, which lie wherever the host puts them. A **record** of the token ring is a token or the
end of a job. The **answer** is the second half of the job's slot.

Counters (`job_head`, `job_tail`, ...) count up for ever modulo 2**32; entry n of a ring is in slot
n modulo the number of entries, which is a power of two. A job's number is the value of `job_head`
before it was put. What is written once, by whom and when:

- The host writes the host's part of the rings, with all counters of both parts equal to their
  starting values, while MAILBOX is 0 or the CPU is held, and then MAILBOX; and DOORBELL, unless the
  CPU was held.
- The host writes a slot, and what it points to, while `job_head - job_tail` is less than
  `job_entries`; then `job_head`; then DOORBELL. Until the job has ended it changes nothing of it
  but `cancel`, which it may set at any time.
- The firmware takes jobs one after the other, in order: it sets `reason` of the answer to NONE and
  `job_taken` to the number of the next one. A job is under way while `job_taken - job_tail` is 1.
- The firmware writes a record while `token_head - token_tail` is less than `token_entries` (it
  waits for that, and goes on looking at `cancel`); then `token_head`; then NOTIFY.
- At the end of a job it writes the answer, `reason` last; then the record of the end, behind all
  records of its tokens; then `job_tail`; then NOTIFY. If it is reset in between, it writes that
  record again: the host passes over records of jobs that have ended.
- The host reads records up to `token_head`, and then sets `token_tail`; it sets NOTIFY to 0 before
  it reads `token_head`, so no notice is lost.
- A job whose `cancel` is set ends as CANCELLED as soon as the firmware sees it: between two runs of
  the accelerator or two looks at a full token ring. It may also end otherwise before.

Each word is written by one side only. The CPU's accesses to the DRAM are not cached; they, and
those of the link, take effect in the order in which they were made.

A firmware that starts and finds a job under way ends that job as INTERRUPTED, or as its answer says
already, and goes on with the next: the CPU was reset, by the watchdog or by a host. A job never
runs twice.

The tokens of a job are those that `weft.LLM` chooses: a function of the model, the prompt and the
sampling parameters alone. Chunks of a prompt are `ceil(count / chunk_rows)` of like size: chunk k
begins at `floor(count * k / chunks)`.
"""

from dataclasses import dataclass
from enum import IntEnum

from weft_arch.records import Record32, long, word

__all__ = [
    "ANSWER_OFFSET",
    "DEFAULT_RUN_CYCLES",
    "FIRMWARE_OFFSET",
    "JOBS_VERSION",
    "JOB_BYTES",
    "MODEL_BYTES",
    "MODEL_MAGIC",
    "MOST_STOPS",
    "RECORD_BYTES",
    "RINGS_BYTES",
    "RINGS_MAGIC",
    "EndReason",
    "Job",
    "JobAnswer",
    "JobError",
    "ModelDescriptor",
    "Record",
    "RecordKind",
    "Rings",
    "RingsState",
]

JOBS_VERSION = 1
"""Version of this contract, in BOOT_STATUS and in the rings."""
RINGS_MAGIC = 0x424F_4A57
"""'WJOB', first character in the lowest byte."""
MODEL_MAGIC = 0x4C44_4D57
"""'WMDL', first character in the lowest byte."""
RINGS_BYTES = 128
"""Size of the rings' header: the host's part, then the firmware's."""
FIRMWARE_OFFSET = 64
"""Where the firmware's part of the rings begins."""
MODEL_BYTES = 128
"""Size of a model's descriptor."""
JOB_BYTES = 256
"""Size of a slot of the job ring: the job, then its answer."""
ANSWER_OFFSET = 128
"""Where the answer begins in a slot of the job ring."""
RECORD_BYTES = 16
"""Size of a record of the token ring."""
MOST_STOPS = 64
"""Stop tokens of one job."""
DEFAULT_RUN_CYCLES = 2_000_000_000
"""Cycles after which a run counts as hung if the job does not say."""


class RecordKind(IntEnum):
    """What a record of the token ring is."""

    TOKEN = 0
    """value is the token's id, position where it stands in its sequence"""
    END = 1
    """value is the EndReason, position the number of tokens"""


class EndReason(IntEnum):
    """Why a job ended. `detail` of the answer is 0 where nothing else is said."""

    NONE = 0
    """the job has not ended"""
    STOP_TOKEN = 1
    """the last token is one of the job's stop tokens"""
    LIMIT = 2
    """there are max_tokens tokens"""
    CONTEXT = 3
    """the last token has the last position of the context"""
    CANCELLED = 4
    """the host asked for it"""
    FAULT = 5
    """the accelerator stopped a program; fault_cause and fault_address say why"""
    TIMEOUT = 6
    """a run took more than run_cycles; status, program_counter and engines say where it stands"""
    LOST_RUN = 7
    """the accelerator was neither running nor done: somebody reset it; status says how it was"""
    BAD_JOB = 8
    """the job cannot be run; detail is the JobError"""
    BAD_LOGITS = 9
    """a logit is NaN or plus infinity, or all are minus infinity: detail is its bits"""
    INTERRUPTED = 10
    """the CPU was reset under way; detail is BOOT_STATUS as it found it then"""


class JobError(IntEnum):
    """What is wrong with a job that ended as BAD_JOB."""

    NONE = 0
    """nothing"""
    NUMBER = 1
    """number is not the one of its slot"""
    ADDRESS = 2
    """an address is no multiple of 4, or what lies there would not end within the memory"""
    MODEL = 3
    """the model's magic or version is wrong"""
    FINGERPRINT = 4
    """the model was compiled for another configuration of the accelerator"""
    SHAPE = 5
    """chunk_rows, vocab_size, max_context, max_sequences, top_k_entries or a register number of
    the model is 0 or too large"""
    PROMPT_EMPTY = 6
    """prompt_count is 0"""
    PROMPT_LENGTH = 7
    """position and prompt do not leave room for a token in the context"""
    PROMPT_TOKEN = 8
    """a prompt id is not below vocab_size"""
    SEQUENCE = 9
    """sequence is not below max_sequences"""
    LIMIT = 10
    """max_tokens is 0"""
    STOPS = 11
    """there are more than 64 stop tokens"""
    SAMPLING = 12
    """top_p is not 1 to 65536 although inverse_temperature is not 0"""


@dataclass(frozen=True, kw_only=True)
class Rings(Record32):
    """The host's part of the rings."""

    magic: int = word("says that this is one", default=RINGS_MAGIC)
    version: int = word("version of this contract", default=JOBS_VERSION)
    memory_base: int = word("address of the first byte of the DRAM")
    memory_bytes: int = word("its size")
    job_ring: int = word("address of the job ring")
    job_entries: int = word("its slots, a power of two")
    token_ring: int = word("address of the token ring")
    token_entries: int = word("its records, a power of two, at least 2")
    job_head: int = word("jobs that were put", default=0)
    token_tail: int = word("records that the host has read", default=0)


@dataclass(frozen=True, kw_only=True)
class RingsState(Record32):
    """The firmware's part of the rings, from `FIRMWARE_OFFSET` on."""

    job_taken: int = word("jobs that were begun", default=0)
    job_tail: int = word("jobs that have ended", default=0)
    token_head: int = word("records that were written", default=0)
    runs: int = word(
        "runs of the accelerator since the rings were set up: a sign of life", default=0
    )


@dataclass(frozen=True, kw_only=True)
class ModelDescriptor(Record32):
    """A model in the DRAM: what the firmware needs to run it, whatever the compiler's habits."""

    magic: int = word("says that this is one", default=MODEL_MAGIC)
    version: int = word("version of this contract", default=JOBS_VERSION)
    fingerprint: int = long("configuration that the program is for")
    program: int = word("address of the program")
    program_length: int = word("its instructions")
    region_base: int = word("first byte that it may read")
    region_limit: int = word("first byte after it")
    write_base: int = word("first byte that it may write")
    write_limit: int = word("first byte after it")
    ids: int = word("address where a chunk's token ids go")
    chunk_rows: int = word("most tokens of a chunk")
    top_k: int = word("address where the program leaves the likeliest tokens, pairs (F32, id)")
    top_k_entries: int = word("how many")
    logits: int = word("address where it leaves the last row's logits, F32, if asked to")
    vocab_size: int = word("how many")
    max_context: int = word("positions of a sequence")
    max_sequences: int = word("sequences")
    sequence_bytes: int = word("bytes of keys and values of a sequence")
    rows_register: int = word("scalar register that takes the tokens of a chunk")
    position_register: int = word("the position of the first")
    sequence_register: int = word("the byte offset of the sequence's keys and values")
    head_register: int = word("1: compute logits; 0: leave them out")
    logits_register: int = word("rows of logits to store")


@dataclass(frozen=True, kw_only=True)
class Job(Record32):
    """A job: the first half of a slot of the job ring. `weft_arch.sampling` is about the choice of
    tokens."""

    number: int = word("number of the job")
    model: int = word("address of the model's descriptor")
    prompt: int = word("address of the prompt's token ids, a word each")
    prompt_count: int = word("how many")
    position: int = word(
        "tokens that the sequence holds already; the prompt follows them", default=0
    )
    sequence: int = word("which sequence", default=0)
    chunk_rows: int = word(
        "most tokens per chunk, if less than the model's; 0: the model's", default=0
    )
    max_tokens: int = word("tokens to generate at most")
    stops: int = word("address of the stop tokens' ids, a word each", default=0)
    stop_count: int = word("how many, 0 to 64", default=0)
    seed: int = long("seed of the random numbers", default=0)
    inverse_temperature: int = word("round(2**20 * log2(e) / temperature); 0 is greedy", default=0)
    top_p: int = word(
        "round(top_p * 2**16), at least 1; without meaning where greedy", default=1 << 16
    )
    top_k: int = word("choose among so many; 0 is all", default=0)
    run_cycles: int = word("cycles that one run may take; 0: 2,000,000,000", default=0)
    cancel: int = word("not 0: the host wants the job to end", default=0)


@dataclass(frozen=True, kw_only=True)
class JobAnswer(Record32):
    """How a job ended: the second half of its slot. `fault_cause` to `engine_store` are about the
    run that failed, else 0."""

    number: int = word("number of the job")
    reason: int = word("EndReason", default=0)
    detail: int = word("see EndReason", default=0)
    tokens: int = word("tokens that were generated", default=0)
    fault_cause: int = word("FAULT_CAUSE of the accelerator", default=0)
    fault_address: int = word("FAULT_ADDRESS", default=0)
    status: int = word("STATUS, before the firmware reset the accelerator", default=0)
    program_counter: int = word("PROGRAM_COUNTER", default=0)
    position: int = word("position of the first token of the run that failed", default=0)
    rows: int = word("tokens of the run that failed; 0 if none did", default=0)
    engine_sequencer: int = word("the register ENGINE_SEQUENCER", default=0)
    engine_stream: int = word("the register ENGINE_STREAM", default=0)
    engine_compute: int = word("the register ENGINE_COMPUTE", default=0)
    engine_vector: int = word("the register ENGINE_VECTOR", default=0)
    engine_load: int = word("the register ENGINE_LOAD", default=0)
    engine_store: int = word("the register ENGINE_STORE", default=0)
    prefill_cycles: int = long("the counter CYCLES over the prompt", default=0)
    prefill_bytes_read: int = long("the counter BYTES_READ over the prompt", default=0)
    prefill_bytes_written: int = long("the counter BYTES_WRITTEN over the prompt", default=0)
    prefill_mac_cycles: int = long("the counter MAC_CYCLES over the prompt", default=0)
    decode_cycles: int = long("the counter CYCLES over the steps after it", default=0)
    decode_bytes_read: int = long("the counter BYTES_READ over the steps after it", default=0)
    decode_bytes_written: int = long("the counter BYTES_WRITTEN over the steps after it", default=0)
    decode_mac_cycles: int = long("the counter MAC_CYCLES over the steps after it", default=0)


@dataclass(frozen=True, kw_only=True)
class Record(Record32):
    """A record of the token ring: a token, or the end of a job."""

    number: int = word("number of the job")
    kind: int = word("RecordKind")
    value: int = word("the token's id, or the EndReason")
    position: int = word("where the token stands in its sequence, or how many tokens there were")
