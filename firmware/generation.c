/* SPDX-License-Identifier: Apache-2.0 */
#include "generation.h"

#include "answer.h"
#include "board.h"
#include "hal.h"
#include "sample.h"

static void end(struct generation *g, const struct rings *rings, uint32_t reason, uint32_t detail)
{
    g->reason = reason;
    g->detail = detail;
    g->phase = PHASE_END;
    answer_write(g, rings_slot(rings, g->job.number) + WEFT_ANSWER_OFFSET);
}

static void end_failed(struct generation *g, const struct rings *rings, uint32_t reason)
{
    g->failure = accelerator_failure();
    g->failed = true;
    accelerator_reset();
    end(g, rings, reason, 0);
}

static void set_program(const struct model *m, uint32_t program, uint32_t length)
{
    accelerator_set_program(program, length, (uint32_t[2]){m->region_base, m->region_limit},
                            (uint32_t[2]){m->write_base, m->write_limit});
}

void generation_begin(struct generation *g, const struct rings *rings, uint32_t number)
{
    *g = (struct generation){.phase = PHASE_NEXT_RUN};
    g->before = g->prefilled = accelerator_counters();
    enum weft_job_error error = job_read(&g->job, rings, number);
    if (error) {
        end(g, rings, WEFT_END_REASON_BAD_JOB, error);
        return;
    }
    const struct model *m = &g->job.model;
    g->n_chunks = (g->job.prompt_count - 1) / g->job.chunk_rows + 1;
    g->keeping = m->keep_length != 0;
    if (g->keeping)
        set_program(m, m->keep_program, m->keep_length);
    else
        set_program(m, m->program, m->program_length);
}

void generation_abandon(struct generation *g, const struct rings *rings, uint32_t number,
                        uint32_t reason, uint32_t detail)
{
    *g = (struct generation){.job.number = number};
    g->before = g->prefilled = accelerator_counters();
    end(g, rings, reason, detail);
}

/* Tokens of the next chunk: the fewest chunks, alike in size. Chunk k begins at
 * floor(prompt_count * k / n_chunks); excess counts what a division would. */
static uint32_t next_chunk_rows(struct generation *g)
{
    uint32_t rows = g->job.prompt_count / g->n_chunks;
    g->excess += g->job.prompt_count % g->n_chunks;
    if (g->excess >= g->n_chunks) {
        g->excess -= g->n_chunks;
        rows++;
    }
    return rows;
}

static void run(struct generation *g, struct rings *rings, const struct scalar *scalars,
                uint32_t count)
{
    rings_count_run(rings);
    board_change(LED_ALIVE);
    g->run_began = soc_read(WEFT_SOC_REG_CYCLES_LOW);
    accelerator_run(scalars, count);
    g->phase = PHASE_RUNNING;
}

/* Run the next chunk of the prompt, or the last token. */
static void start_run(struct generation *g, struct rings *rings)
{
    const struct job *job = &g->job;
    const struct model *m = &job->model;
    bool head = true;
    if (g->chunk < g->n_chunks) {
        g->run_position = job->position + g->prompt_read;
        g->run_rows = next_chunk_rows(g);
        for (uint32_t k = 0; k < g->run_rows; k++)
            dram_write(m->ids + 4 * k, dram_read(job->prompt + 4 * g->prompt_read++));
        head = g->prompt_read == job->prompt_count;
    } else {
        g->run_position = job->position + job->prompt_count + g->n_tokens - 1;
        g->run_rows = 1;
        dram_write(m->ids, g->token);
    }
    const struct scalar scalars[] = {
        {m->rows_register, g->run_rows},
        {m->position_register, g->run_position},
        {m->sequence_register, job->sequence * m->sequence_bytes},
        {m->head_register, head},
        {m->logits_register, head && job->needs_logits},
    };
    run(g, rings, scalars, sizeof scalars / sizeof scalars[0]);
}

static void choose(struct generation *g, const struct rings *rings)
{
    const struct job *job = &g->job;
    const struct model *m = &job->model;
    struct choice choice =
        job->needs_logits ? sample_logits(&job->sampling, m->logits, m->vocab_size,
                                          dram_read(m->top_k), g->n_tokens)
                          : sample_list(&job->sampling, m->top_k, m->top_k_entries, g->n_tokens);
    if (!choice.good) {
        end(g, rings, WEFT_END_REASON_BAD_LOGITS, choice.bad_bits);
        return;
    }
    g->token = choice.token;
    g->n_tokens++;
    g->phase = PHASE_TOKEN;
    board_change(LED_TOKEN);
}

static void finish_run(struct generation *g, const struct rings *rings)
{
    uint32_t status = accelerator_status();
    if (status & WEFT_STATUS_FAULT) {
        end_failed(g, rings, WEFT_END_REASON_FAULT);
    } else if (status & WEFT_STATUS_RUNNING) {
        if (soc_read(WEFT_SOC_REG_CYCLES_LOW) - g->run_began > g->job.run_cycles)
            end_failed(g, rings, WEFT_END_REASON_TIMEOUT);
    } else if (!(status & WEFT_STATUS_DONE)) {
        end_failed(g, rings, WEFT_END_REASON_LOST_RUN);
    } else if (g->keeping) {
        g->keeping = false;
        set_program(&g->job.model, g->job.model.program, g->job.model.program_length);
        g->phase = PHASE_NEXT_RUN;
    } else if (g->chunk < g->n_chunks && ++g->chunk < g->n_chunks) {
        g->phase = PHASE_NEXT_RUN;
    } else {
        if (!g->n_tokens) {
            g->prefilled = accelerator_counters();
            board_light(LED_PROMPT, false);
        }
        choose(g, rings);
    }
}

static void after_token(struct generation *g, const struct rings *rings, uint32_t position)
{
    if (job_stops_at(&g->job, g->token))
        end(g, rings, WEFT_END_REASON_STOP_TOKEN, 0);
    else if (g->n_tokens == g->job.max_tokens)
        end(g, rings, WEFT_END_REASON_LIMIT, 0);
    else if (position + 1 == g->job.model.max_context)
        end(g, rings, WEFT_END_REASON_CONTEXT, 0);
    else
        g->phase = PHASE_NEXT_RUN;
}

static void put_token(struct generation *g, struct rings *rings)
{
    uint32_t position = g->job.position + g->job.prompt_count + g->n_tokens - 1;
    bool put = rings_put(rings, g->job.number, WEFT_RECORD_KIND_TOKEN, g->token, position);
    board_light(LED_FULL, !put);
    if (put) {
        after_token(g, rings, position);
    } else if (rings_is_cancelled(rings, g->job.number)) {
        g->n_tokens--; /* the host has not got it */
        end(g, rings, WEFT_END_REASON_CANCELLED, 0);
    }
}

bool generation_step(struct generation *g, struct rings *rings)
{
    switch (g->phase) {
    case PHASE_NEXT_RUN:
        if (rings_is_cancelled(rings, g->job.number))
            end(g, rings, WEFT_END_REASON_CANCELLED, 0);
        else if (g->keeping)
            run(g, rings, 0, 0);
        else
            start_run(g, rings);
        return false;
    case PHASE_RUNNING:
        finish_run(g, rings);
        return false;
    case PHASE_TOKEN:
        put_token(g, rings);
        return false;
    case PHASE_END:
        break;
    }
    bool put = rings_put(rings, g->job.number, WEFT_RECORD_KIND_END, g->reason, g->n_tokens);
    board_light(LED_FULL, !put);
    return put;
}
