/* SPDX-License-Identifier: Apache-2.0 */
/* A job and its model, read from the DRAM and checked. */
#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "rings.h"
#include "sample.h"
#include "weft_jobs.h"

struct model {
    uint64_t fingerprint;
    uint32_t program, program_length;
    uint32_t region_base, region_limit, write_base, write_limit;
    uint32_t ids, chunk_rows;
    uint32_t top_k, top_k_entries;
    uint32_t logits, vocab_size;
    uint32_t max_context, max_sequences, sequence_bytes;
    uint32_t keep_program, keep_length;
    uint32_t rows_register, position_register, sequence_register, head_register, logits_register;
};

struct job {
    struct model model;
    uint32_t number;
    uint32_t prompt, prompt_count; /* address of the ids */
    uint32_t position, sequence;
    uint32_t chunk_rows; /* of the job, or of the model */
    uint32_t max_tokens, run_cycles;
    uint32_t stops[WEFT_MOST_STOPS], stop_count;
    struct sampling sampling;
    bool needs_logits; /* the list of the likeliest tokens is too short to choose from */
};

/* Read the job of a number: what is wrong with it. */
enum weft_job_error job_read(struct job *job, const struct rings *rings, uint32_t number);

/* Whether a token is one of the job's stop tokens. */
bool job_stops_at(const struct job *job, uint32_t token);

#endif
