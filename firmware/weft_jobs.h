/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m weft_arch.generate` from the Python package weft_arch; do not edit. */
#ifndef WEFT_JOBS_H
#define WEFT_JOBS_H

/* docs/jobs.md says what it all means. */

/* Sizes in bytes, and numbers */
#define WEFT_JOBS_VERSION 1 /* Version of this contract, in BOOT_STATUS and in the rings */
#define WEFT_RINGS_BYTES 128 /* Size of the rings' header: the host's part, then the firmware's */
#define WEFT_FIRMWARE_OFFSET 64 /* Where the firmware's part of the rings begins */
#define WEFT_MODEL_BYTES 128 /* Size of a model's descriptor */
#define WEFT_JOB_BYTES 256 /* Size of a slot of the job ring: the job, then its answer */
#define WEFT_ANSWER_OFFSET 128 /* Where the answer begins in a slot of the job ring */
#define WEFT_RECORD_BYTES 16 /* Size of a record of the token ring */
#define WEFT_MOST_STOPS 64 /* Stop tokens of one job */
#define WEFT_RINGS_MAGIC 0x424f4a57u /* 'WJOB', first character in the lowest byte */
#define WEFT_MODEL_MAGIC 0x4c444d57u /* 'WMDL', first character in the lowest byte */
/* Cycles after which a run counts as hung if the job does not say */
#define WEFT_DEFAULT_RUN_CYCLES 2000000000u

enum weft_record_kind {
    /* value is the token's id, position where it stands in its sequence */
    WEFT_RECORD_KIND_TOKEN = 0,
    WEFT_RECORD_KIND_END = 1, /* value is the EndReason, position the number of tokens */
};

enum weft_end_reason {
    WEFT_END_REASON_NONE = 0, /* the job has not ended */
    WEFT_END_REASON_STOP_TOKEN = 1, /* the last token is one of the job's stop tokens */
    WEFT_END_REASON_LIMIT = 2, /* there are max_tokens tokens */
    WEFT_END_REASON_CONTEXT = 3, /* the last token has the last position of the context */
    WEFT_END_REASON_CANCELLED = 4, /* the host asked for it */
    /* the accelerator stopped a program; fault_cause and fault_address say why */
    WEFT_END_REASON_FAULT = 5,
    /* a run took more than run_cycles; status, program_counter and engines say where it stands */
    WEFT_END_REASON_TIMEOUT = 6,
    /* the accelerator was neither running nor done: somebody reset it; status says how it was */
    WEFT_END_REASON_LOST_RUN = 7,
    WEFT_END_REASON_BAD_JOB = 8, /* the job cannot be run; detail is the JobError */
    /* a logit is NaN or plus infinity, or all are minus infinity: detail is its bits */
    WEFT_END_REASON_BAD_LOGITS = 9,
    /* the CPU was reset under way; detail is BOOT_STATUS as it found it then */
    WEFT_END_REASON_INTERRUPTED = 10,
};

enum weft_job_error {
    WEFT_JOB_ERROR_NONE = 0, /* nothing */
    WEFT_JOB_ERROR_NUMBER = 1, /* number is not the one of its slot */
    /* an address is no multiple of 4, or what lies there would not end within the memory */
    WEFT_JOB_ERROR_ADDRESS = 2,
    WEFT_JOB_ERROR_MODEL = 3, /* the model's magic or version is wrong */
    /* the model was compiled for another configuration of the accelerator */
    WEFT_JOB_ERROR_FINGERPRINT = 4,
    /* chunk_rows, vocab_size, max_context, max_sequences, top_k_entries or a register number of the
     * model is 0 or too large */
    WEFT_JOB_ERROR_SHAPE = 5,
    WEFT_JOB_ERROR_PROMPT_EMPTY = 6, /* prompt_count is 0 */
    /* position and prompt do not leave room for a token in the context */
    WEFT_JOB_ERROR_PROMPT_LENGTH = 7,
    WEFT_JOB_ERROR_PROMPT_TOKEN = 8, /* a prompt id is not below vocab_size */
    WEFT_JOB_ERROR_SEQUENCE = 9, /* sequence is not below max_sequences */
    WEFT_JOB_ERROR_LIMIT = 10, /* max_tokens is 0 */
    WEFT_JOB_ERROR_STOPS = 11, /* there are more than 64 stop tokens */
    /* top_p is not 1 to 65536 although inverse_temperature is not 0 */
    WEFT_JOB_ERROR_SAMPLING = 12,
};

/* Rings, the host's part: byte offsets */
#define WEFT_RINGS_MAGIC_OFFSET 0 /* says that this is one */
#define WEFT_RINGS_VERSION_OFFSET 4 /* version of this contract */
#define WEFT_RINGS_MEMORY_BASE_OFFSET 8 /* address of the first byte of the DRAM */
#define WEFT_RINGS_MEMORY_BYTES_OFFSET 12 /* its size */
#define WEFT_RINGS_JOB_RING_OFFSET 16 /* address of the job ring */
#define WEFT_RINGS_JOB_ENTRIES_OFFSET 20 /* its slots, a power of two */
#define WEFT_RINGS_TOKEN_RING_OFFSET 24 /* address of the token ring */
#define WEFT_RINGS_TOKEN_ENTRIES_OFFSET 28 /* its records, a power of two, at least 2 */
#define WEFT_RINGS_JOB_HEAD_OFFSET 32 /* jobs that were put */
#define WEFT_RINGS_TOKEN_TAIL_OFFSET 36 /* records that the host has read */

/* Rings, the firmware's part, from WEFT_FIRMWARE_OFFSET on: byte offsets */
#define WEFT_STATE_JOB_TAKEN_OFFSET 0 /* jobs that were begun */
#define WEFT_STATE_JOB_TAIL_OFFSET 4 /* jobs that have ended */
#define WEFT_STATE_TOKEN_HEAD_OFFSET 8 /* records that were written */
/* runs of the accelerator since the rings were set up: a sign of life */
#define WEFT_STATE_RUNS_OFFSET 12

/* A model: byte offsets */
#define WEFT_MODEL_MAGIC_OFFSET 0 /* says that this is one */
#define WEFT_MODEL_VERSION_OFFSET 4 /* version of this contract */
#define WEFT_MODEL_FINGERPRINT_OFFSET 8 /* configuration that the program is for */
#define WEFT_MODEL_PROGRAM_OFFSET 16 /* address of the program */
#define WEFT_MODEL_PROGRAM_LENGTH_OFFSET 20 /* its instructions */
#define WEFT_MODEL_REGION_BASE_OFFSET 24 /* first byte that it may read */
#define WEFT_MODEL_REGION_LIMIT_OFFSET 28 /* first byte after it */
#define WEFT_MODEL_WRITE_BASE_OFFSET 32 /* first byte that it may write */
#define WEFT_MODEL_WRITE_LIMIT_OFFSET 36 /* first byte after it */
#define WEFT_MODEL_IDS_OFFSET 40 /* address where a chunk's token ids go */
#define WEFT_MODEL_CHUNK_ROWS_OFFSET 44 /* most tokens of a chunk */
/* address where the program leaves the likeliest tokens, pairs (F32, id) */
#define WEFT_MODEL_TOP_K_OFFSET 48
#define WEFT_MODEL_TOP_K_ENTRIES_OFFSET 52 /* how many */
/* address where it leaves the last row's logits, F32, if asked to */
#define WEFT_MODEL_LOGITS_OFFSET 56
#define WEFT_MODEL_VOCAB_SIZE_OFFSET 60 /* how many */
#define WEFT_MODEL_MAX_CONTEXT_OFFSET 64 /* positions of a sequence */
#define WEFT_MODEL_MAX_SEQUENCES_OFFSET 68 /* sequences */
#define WEFT_MODEL_SEQUENCE_BYTES_OFFSET 72 /* bytes of keys and values of a sequence */
#define WEFT_MODEL_ROWS_REGISTER_OFFSET 76 /* scalar register that takes the tokens of a chunk */
#define WEFT_MODEL_POSITION_REGISTER_OFFSET 80 /* the position of the first */
/* the byte offset of the sequence's keys and values */
#define WEFT_MODEL_SEQUENCE_REGISTER_OFFSET 84
#define WEFT_MODEL_HEAD_REGISTER_OFFSET 88 /* 1: compute logits; 0: leave them out */
#define WEFT_MODEL_LOGITS_REGISTER_OFFSET 92 /* rows of logits to store */

/* A job: byte offsets */
#define WEFT_JOB_NUMBER_OFFSET 0 /* number of the job */
#define WEFT_JOB_MODEL_OFFSET 4 /* address of the model's descriptor */
#define WEFT_JOB_PROMPT_OFFSET 8 /* address of the prompt's token ids, a word each */
#define WEFT_JOB_PROMPT_COUNT_OFFSET 12 /* how many */
/* tokens that the sequence holds already; the prompt follows them */
#define WEFT_JOB_POSITION_OFFSET 16
#define WEFT_JOB_SEQUENCE_OFFSET 20 /* which sequence */
/* most tokens per chunk, if less than the model's; 0: the model's */
#define WEFT_JOB_CHUNK_ROWS_OFFSET 24
#define WEFT_JOB_MAX_TOKENS_OFFSET 28 /* tokens to generate at most */
#define WEFT_JOB_STOPS_OFFSET 32 /* address of the stop tokens' ids, a word each */
#define WEFT_JOB_STOP_COUNT_OFFSET 36 /* how many, 0 to 64 */
#define WEFT_JOB_SEED_OFFSET 40 /* seed of the random numbers */
/* round(2**20 * log2(e) / temperature); 0 is greedy */
#define WEFT_JOB_INVERSE_TEMPERATURE_OFFSET 48
/* round(top_p * 2**16), at least 1; without meaning where greedy */
#define WEFT_JOB_TOP_P_OFFSET 52
#define WEFT_JOB_TOP_K_OFFSET 56 /* choose among so many; 0 is all */
#define WEFT_JOB_RUN_CYCLES_OFFSET 60 /* cycles that one run may take; 0: 2,000,000,000 */
#define WEFT_JOB_CANCEL_OFFSET 64 /* not 0: the host wants the job to end */

/* Its answer, from WEFT_ANSWER_OFFSET on: byte offsets */
#define WEFT_ANSWER_NUMBER_OFFSET 0 /* number of the job */
#define WEFT_ANSWER_REASON_OFFSET 4 /* EndReason */
#define WEFT_ANSWER_DETAIL_OFFSET 8 /* see EndReason */
#define WEFT_ANSWER_TOKENS_OFFSET 12 /* tokens that were generated */
#define WEFT_ANSWER_FAULT_CAUSE_OFFSET 16 /* FAULT_CAUSE of the accelerator */
#define WEFT_ANSWER_FAULT_ADDRESS_OFFSET 20 /* FAULT_ADDRESS */
#define WEFT_ANSWER_STATUS_OFFSET 24 /* STATUS, before the firmware reset the accelerator */
#define WEFT_ANSWER_PROGRAM_COUNTER_OFFSET 28 /* PROGRAM_COUNTER */
#define WEFT_ANSWER_POSITION_OFFSET 32 /* position of the first token of the run that failed */
#define WEFT_ANSWER_ROWS_OFFSET 36 /* tokens of the run that failed; 0 if none did */
#define WEFT_ANSWER_ENGINE_SEQUENCER_OFFSET 40 /* the register ENGINE_SEQUENCER */
#define WEFT_ANSWER_ENGINE_STREAM_OFFSET 44 /* the register ENGINE_STREAM */
#define WEFT_ANSWER_ENGINE_COMPUTE_OFFSET 48 /* the register ENGINE_COMPUTE */
#define WEFT_ANSWER_ENGINE_VECTOR_OFFSET 52 /* the register ENGINE_VECTOR */
#define WEFT_ANSWER_ENGINE_LOAD_OFFSET 56 /* the register ENGINE_LOAD */
#define WEFT_ANSWER_ENGINE_STORE_OFFSET 60 /* the register ENGINE_STORE */
#define WEFT_ANSWER_PREFILL_CYCLES_OFFSET 64 /* the counter CYCLES over the prompt */
#define WEFT_ANSWER_PREFILL_BYTES_READ_OFFSET 72 /* the counter BYTES_READ over the prompt */
#define WEFT_ANSWER_PREFILL_BYTES_WRITTEN_OFFSET 80 /* the counter BYTES_WRITTEN over the prompt */
#define WEFT_ANSWER_PREFILL_MAC_CYCLES_OFFSET 88 /* the counter MAC_CYCLES over the prompt */
#define WEFT_ANSWER_DECODE_CYCLES_OFFSET 96 /* the counter CYCLES over the steps after it */
/* the counter BYTES_READ over the steps after it */
#define WEFT_ANSWER_DECODE_BYTES_READ_OFFSET 104
/* the counter BYTES_WRITTEN over the steps after it */
#define WEFT_ANSWER_DECODE_BYTES_WRITTEN_OFFSET 112
/* the counter MAC_CYCLES over the steps after it */
#define WEFT_ANSWER_DECODE_MAC_CYCLES_OFFSET 120

/* A record of the token ring: byte offsets */
#define WEFT_RECORD_NUMBER_OFFSET 0 /* number of the job */
#define WEFT_RECORD_KIND_OFFSET 4 /* RecordKind */
#define WEFT_RECORD_VALUE_OFFSET 8 /* the token's id, or the EndReason */
/* where the token stands in its sequence, or how many tokens there were */
#define WEFT_RECORD_POSITION_OFFSET 12

#endif
