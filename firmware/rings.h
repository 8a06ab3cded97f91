/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of jobs and tokens in the DRAM; docs/jobs.md has the rules. */
#ifndef RINGS_H
#define RINGS_H

#include <stdbool.h>
#include <stdint.h>

struct rings {
    uint32_t address; /* 0: there are none */
    uint32_t memory_base, memory_bytes;
    uint32_t job_ring, job_entries;
    uint32_t token_ring, token_entries;
    uint32_t job_taken, job_tail, token_head, runs; /* the firmware's part */
};

/* Read what lies at an address; false if it is no rings of this version. */
bool rings_attach(struct rings *rings, uint32_t address);

/* Whether so many bytes from an address, a multiple of 4, lie in the memory. */
bool rings_holds(const struct rings *rings, uint32_t address, uint64_t bytes);

/* Whether there is a job that has not been taken. */
bool rings_has_job(const struct rings *rings);

/* Whether a job was taken and has not ended. */
bool rings_is_working(const struct rings *rings);

/* Address of a job's slot. */
uint32_t rings_slot(const struct rings *rings, uint32_t number);

/* The job that is taken, or ends, next. */
void rings_take(struct rings *rings);
void rings_end(struct rings *rings);

/* Whether the host wants a job to end. */
bool rings_is_cancelled(const struct rings *rings, uint32_t number);

/* Write a record and tell the host; false if there is no room. */
bool rings_put(struct rings *rings, uint32_t number, uint32_t kind, uint32_t value,
               uint32_t position);

/* Count a run of the accelerator. */
void rings_count_run(struct rings *rings);

#endif
