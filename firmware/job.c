/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include "accelerator.h"
#include "hal.h"
#include "wide.h"

#define MODEL(model, field) dram_read((model) + WEFT_MODEL_##field##_OFFSET)
#define JOB(slot, field) dram_read((slot) + WEFT_JOB_##field##_OFFSET)

/* Ids of tokens have 18 bits in the top-k unit. */
#define MOST_TOKENS (1u << 18)
#define MOST_ROWS 4096

static enum weft_job_error read_model(struct model *m, const struct rings *rings, uint32_t at)
{
    if (!rings_holds(rings, at, WEFT_MODEL_BYTES))
        return WEFT_JOB_ERROR_ADDRESS;
    if (MODEL(at, MAGIC) != WEFT_MODEL_MAGIC || MODEL(at, VERSION) != WEFT_JOBS_VERSION)
        return WEFT_JOB_ERROR_MODEL;
    *m = (struct model){
        .fingerprint = dram_read_long(at + WEFT_MODEL_FINGERPRINT_OFFSET),
        .program = MODEL(at, PROGRAM),
        .program_length = MODEL(at, PROGRAM_LENGTH),
        .region_base = MODEL(at, REGION_BASE),
        .region_limit = MODEL(at, REGION_LIMIT),
        .write_base = MODEL(at, WRITE_BASE),
        .write_limit = MODEL(at, WRITE_LIMIT),
        .ids = MODEL(at, IDS),
        .chunk_rows = MODEL(at, CHUNK_ROWS),
        .top_k = MODEL(at, TOP_K),
        .top_k_entries = MODEL(at, TOP_K_ENTRIES),
        .logits = MODEL(at, LOGITS),
        .vocab_size = MODEL(at, VOCAB_SIZE),
        .max_context = MODEL(at, MAX_CONTEXT),
        .max_sequences = MODEL(at, MAX_SEQUENCES),
        .sequence_bytes = MODEL(at, SEQUENCE_BYTES),
        .rows_register = MODEL(at, ROWS_REGISTER),
        .position_register = MODEL(at, POSITION_REGISTER),
        .sequence_register = MODEL(at, SEQUENCE_REGISTER),
        .head_register = MODEL(at, HEAD_REGISTER),
        .logits_register = MODEL(at, LOGITS_REGISTER),
        .keep_program = MODEL(at, KEEP_PROGRAM),
        .keep_length = MODEL(at, KEEP_LENGTH),
    };
    if (m->fingerprint != accelerator_fingerprint())
        return WEFT_JOB_ERROR_FINGERPRINT;
    if (!m->chunk_rows || m->chunk_rows > MOST_ROWS || !m->vocab_size ||
        m->vocab_size > MOST_TOKENS || !m->max_context || m->max_context > WEFT_POSITION_LIMIT ||
        !m->max_sequences || !m->top_k_entries || m->top_k_entries > MOST_ENTRIES ||
        m->rows_register >= WEFT_N_SCALARS || m->position_register >= WEFT_N_SCALARS ||
        m->sequence_register >= WEFT_N_SCALARS || m->head_register >= WEFT_N_SCALARS ||
        m->logits_register >= WEFT_N_SCALARS)
        return WEFT_JOB_ERROR_SHAPE;
    if (!rings_holds(rings, m->ids, 4 * (uint64_t)m->chunk_rows) ||
        !rings_holds(rings, m->top_k, 8 * (uint64_t)m->top_k_entries) ||
        !rings_holds(rings, m->logits, 4 * (uint64_t)m->vocab_size))
        return WEFT_JOB_ERROR_ADDRESS;
    return WEFT_JOB_ERROR_NONE;
}

static enum weft_job_error read_prompt(struct job *job, const struct rings *rings, uint32_t slot)
{
    job->prompt = JOB(slot, PROMPT);
    job->prompt_count = JOB(slot, PROMPT_COUNT);
    job->position = JOB(slot, POSITION);
    job->sequence = JOB(slot, SEQUENCE);
    uint32_t rows = JOB(slot, CHUNK_ROWS);
    job->chunk_rows = rows && rows < job->model.chunk_rows ? rows : job->model.chunk_rows;
    if (!job->prompt_count)
        return WEFT_JOB_ERROR_PROMPT_EMPTY;
    if ((uint64_t)job->position + job->prompt_count >= job->model.max_context)
        return WEFT_JOB_ERROR_PROMPT_LENGTH;
    if (!rings_holds(rings, job->prompt, 4 * (uint64_t)job->prompt_count))
        return WEFT_JOB_ERROR_ADDRESS;
    for (uint32_t k = 0; k < job->prompt_count; k++)
        if (dram_read(job->prompt + 4 * k) >= job->model.vocab_size)
            return WEFT_JOB_ERROR_PROMPT_TOKEN;
    return job->sequence < job->model.max_sequences ? WEFT_JOB_ERROR_NONE : WEFT_JOB_ERROR_SEQUENCE;
}

static enum weft_job_error read_end(struct job *job, const struct rings *rings, uint32_t slot)
{
    uint32_t stops = JOB(slot, STOPS), cycles = JOB(slot, RUN_CYCLES);
    job->run_cycles = cycles ? cycles : WEFT_DEFAULT_RUN_CYCLES;
    job->max_tokens = JOB(slot, MAX_TOKENS);
    job->stop_count = JOB(slot, STOP_COUNT);
    if (!job->max_tokens)
        return WEFT_JOB_ERROR_LIMIT;
    if (job->stop_count > WEFT_MOST_STOPS)
        return WEFT_JOB_ERROR_STOPS;
    if (job->stop_count && !rings_holds(rings, stops, 4 * (uint64_t)job->stop_count))
        return WEFT_JOB_ERROR_ADDRESS;
    for (uint32_t k = 0; k < job->stop_count; k++)
        job->stops[k] = dram_read(stops + 4 * k);
    return WEFT_JOB_ERROR_NONE;
}

static enum weft_job_error read_sampling(struct job *job, uint32_t slot)
{
    struct sampling *sampling = &job->sampling;
    sampling->key = splitmix64_mix(dram_read_long(slot + WEFT_JOB_SEED_OFFSET));
    sampling->inverse_temperature = JOB(slot, INVERSE_TEMPERATURE);
    sampling->top_p = JOB(slot, TOP_P);
    sampling->top_k = JOB(slot, TOP_K);
    job->needs_logits = sampling->inverse_temperature &&
                        (!sampling->top_k || sampling->top_k > job->model.top_k_entries);
    bool all = !sampling->top_p || sampling->top_p > 1u << WEFT_TOP_P_BITS;
    return sampling->inverse_temperature && all ? WEFT_JOB_ERROR_SAMPLING : WEFT_JOB_ERROR_NONE;
}

enum weft_job_error job_read(struct job *job, const struct rings *rings, uint32_t number)
{
    uint32_t slot = rings_slot(rings, number);
    job->number = number;
    if (JOB(slot, NUMBER) != number)
        return WEFT_JOB_ERROR_NUMBER;
    enum weft_job_error error = read_model(&job->model, rings, JOB(slot, MODEL));
    if (!error)
        error = read_prompt(job, rings, slot);
    if (!error)
        error = read_end(job, rings, slot);
    return error ? error : read_sampling(job, slot);
}

bool job_stops_at(const struct job *job, uint32_t token)
{
    for (uint32_t k = 0; k < job->stop_count; k++)
        if (job->stops[k] == token)
            return true;
    return false;
}
