/* SPDX-License-Identifier: Apache-2.0 */
/* One job from its prompt to its end: a state machine that never waits. */
#ifndef GENERATION_H
#define GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "accelerator.h"
#include "job.h"
#include "rings.h"

enum phase {
    PHASE_NEXT_RUN, /* the accelerator is idle */
    PHASE_RUNNING,  /* it runs a chunk */
    PHASE_TOKEN,    /* a token waits for room in the ring */
    PHASE_END,      /* the answer is written, its record waits for room */
};

struct generation {
    enum phase phase;
    struct job job;
    bool keeping; /* the program that brings weights onto the chip is still to end */
    uint32_t chunk, n_chunks;        /* of the prompt */
    uint32_t prompt_read, excess;    /* tokens of it, and what is left of dividing it */
    uint32_t run_position, run_rows; /* of the run under way */
    uint32_t run_began;              /* CYCLES_LOW */
    uint32_t token, n_tokens;        /* the last one chosen, and how many */
    uint32_t reason, detail;
    struct failure failure;
    bool failed; /* failure is about a run */
    struct counters before, prefilled;
};

/* Read the job that was taken and begin it. */
void generation_begin(struct generation *g, const struct rings *rings, uint32_t number);

/* End a job that cannot go on: only its answer and its record are left to write. */
void generation_abandon(struct generation *g, const struct rings *rings, uint32_t number,
                        uint32_t reason, uint32_t detail);

/* Do what can be done at once; true when the job has ended. */
bool generation_step(struct generation *g, struct rings *rings);

#endif
