/* SPDX-License-Identifier: Apache-2.0 */
/* The accelerator: what it is, runs of its program, counters, and why a run failed. */
#ifndef ACCELERATOR_H
#define ACCELERATOR_H

#include <stdbool.h>
#include <stdint.h>

#define N_ENGINES 6
#define N_COUNTERS 4

/* CYCLES, BYTES_READ, BYTES_WRITTEN, MAC_CYCLES, in the order of a job's answer. */
struct counters {
    uint64_t value[N_COUNTERS];
};

/* Registers after a run that failed. */
struct failure {
    uint32_t fault_cause, fault_address, status, program_counter;
    uint32_t engines[N_ENGINES];
};

/* A scalar register and its value. */
struct scalar {
    uint32_t number, value;
};

/* Whether ID and the major VERSION are the ones of weft_arch.h. */
bool accelerator_is_known(void);

uint64_t accelerator_fingerprint(void);

/* Tell where the program is, and what it may read and write: [base, limit). */
void accelerator_set_program(uint32_t program, uint32_t length, const uint32_t region[2],
                             const uint32_t write[2]);

/* Set scalar registers and start. */
void accelerator_run(const struct scalar *scalars, uint32_t count);

/* STATUS. */
uint32_t accelerator_status(void);

struct failure accelerator_failure(void);

struct counters accelerator_counters(void);

/* Bring it into its initial state; the memory stays. */
void accelerator_reset(void);

#endif
