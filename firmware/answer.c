/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "hal.h"

#define COUNTER_BYTES 8

static void write_counters(uint32_t address, const struct counters *from, const struct counters *to)
{
    for (uint32_t k = 0; k < N_COUNTERS; k++)
        dram_write_long(address + COUNTER_BYTES * k, to->value[k] - from->value[k]);
}

void answer_write(const struct generation *g, uint32_t address)
{
    const struct failure *f = &g->failure;
    struct counters now = accelerator_counters();
    /* A job that ended in its prompt has no steps after it. */
    const struct counters *prefilled = g->chunk < g->n_chunks ? &now : &g->prefilled;
    dram_write(address + WEFT_ANSWER_NUMBER_OFFSET, g->job.number);
    dram_write(address + WEFT_ANSWER_DETAIL_OFFSET, g->detail);
    dram_write(address + WEFT_ANSWER_TOKENS_OFFSET, g->n_tokens);
    dram_write(address + WEFT_ANSWER_FAULT_CAUSE_OFFSET, f->fault_cause);
    dram_write(address + WEFT_ANSWER_FAULT_ADDRESS_OFFSET, f->fault_address);
    dram_write(address + WEFT_ANSWER_STATUS_OFFSET, f->status);
    dram_write(address + WEFT_ANSWER_PROGRAM_COUNTER_OFFSET, f->program_counter);
    dram_write(address + WEFT_ANSWER_POSITION_OFFSET, g->failed ? g->run_position : 0);
    dram_write(address + WEFT_ANSWER_ROWS_OFFSET, g->failed ? g->run_rows : 0);
    for (uint32_t k = 0; k < N_ENGINES; k++)
        dram_write(address + WEFT_ANSWER_ENGINE_SEQUENCER_OFFSET + 4 * k, f->engines[k]);
    write_counters(address + WEFT_ANSWER_PREFILL_CYCLES_OFFSET, &g->before, prefilled);
    write_counters(address + WEFT_ANSWER_DECODE_CYCLES_OFFSET, prefilled, &now);
    dram_order();
    dram_write(address + WEFT_ANSWER_REASON_OFFSET, g->reason);
}
