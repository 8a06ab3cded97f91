/* SPDX-License-Identifier: Apache-2.0 */
#include "rings.h"

#include "board.h"
#include "hal.h"
#include "weft_jobs.h"

static uint32_t state_at(const struct rings *rings, uint32_t offset)
{
    return rings->address + WEFT_FIRMWARE_OFFSET + offset;
}

static bool is_power_of_two(uint32_t value)
{
    return value && !(value & (value - 1));
}

bool rings_holds(const struct rings *rings, uint32_t address, uint64_t bytes)
{
    uint64_t at = (uint64_t)address - rings->memory_base;
    return address % 4 == 0 && address >= rings->memory_base && at + bytes <= rings->memory_bytes;
}

bool rings_attach(struct rings *rings, uint32_t address)
{
    rings->address = 0;
    if (!address || address % 4)
        return false;
    if (dram_read(address + WEFT_RINGS_MAGIC_OFFSET) != WEFT_RINGS_MAGIC ||
        dram_read(address + WEFT_RINGS_VERSION_OFFSET) != WEFT_JOBS_VERSION)
        return false;
    rings->memory_base = dram_read(address + WEFT_RINGS_MEMORY_BASE_OFFSET);
    rings->memory_bytes = dram_read(address + WEFT_RINGS_MEMORY_BYTES_OFFSET);
    rings->job_ring = dram_read(address + WEFT_RINGS_JOB_RING_OFFSET);
    rings->job_entries = dram_read(address + WEFT_RINGS_JOB_ENTRIES_OFFSET);
    rings->token_ring = dram_read(address + WEFT_RINGS_TOKEN_RING_OFFSET);
    rings->token_entries = dram_read(address + WEFT_RINGS_TOKEN_ENTRIES_OFFSET);
    if (!is_power_of_two(rings->job_entries) || !is_power_of_two(rings->token_entries) ||
        rings->token_entries < 2 ||
        !rings_holds(rings, rings->job_ring, (uint64_t)rings->job_entries * WEFT_JOB_BYTES) ||
        !rings_holds(rings, rings->token_ring, (uint64_t)rings->token_entries * WEFT_RECORD_BYTES))
        return false;
    rings->address = address;
    rings->job_taken = dram_read(state_at(rings, WEFT_STATE_JOB_TAKEN_OFFSET));
    rings->job_tail = dram_read(state_at(rings, WEFT_STATE_JOB_TAIL_OFFSET));
    rings->token_head = dram_read(state_at(rings, WEFT_STATE_TOKEN_HEAD_OFFSET));
    rings->runs = dram_read(state_at(rings, WEFT_STATE_RUNS_OFFSET));
    return true;
}

bool rings_has_job(const struct rings *rings)
{
    return dram_read(rings->address + WEFT_RINGS_JOB_HEAD_OFFSET) != rings->job_taken;
}

bool rings_is_working(const struct rings *rings)
{
    return rings->job_taken != rings->job_tail;
}

uint32_t rings_slot(const struct rings *rings, uint32_t number)
{
    return rings->job_ring + (number & (rings->job_entries - 1)) * WEFT_JOB_BYTES;
}

void rings_take(struct rings *rings)
{
    uint32_t answer = rings_slot(rings, rings->job_taken) + WEFT_ANSWER_OFFSET;
    dram_write(answer + WEFT_ANSWER_REASON_OFFSET, WEFT_END_REASON_NONE);
    dram_order();
    dram_write(state_at(rings, WEFT_STATE_JOB_TAKEN_OFFSET), ++rings->job_taken);
}

void rings_end(struct rings *rings)
{
    dram_order();
    dram_write(state_at(rings, WEFT_STATE_JOB_TAIL_OFFSET), ++rings->job_tail);
    board_notify();
}

bool rings_is_cancelled(const struct rings *rings, uint32_t number)
{
    return dram_read(rings_slot(rings, number) + WEFT_JOB_CANCEL_OFFSET) != 0;
}

bool rings_put(struct rings *rings, uint32_t number, uint32_t kind, uint32_t value,
               uint32_t position)
{
    uint32_t tail = dram_read(rings->address + WEFT_RINGS_TOKEN_TAIL_OFFSET);
    if (rings->token_head - tail >= rings->token_entries)
        return false;
    uint32_t slot = rings->token_head & (rings->token_entries - 1);
    uint32_t record = rings->token_ring + slot * WEFT_RECORD_BYTES;
    dram_write(record + WEFT_RECORD_NUMBER_OFFSET, number);
    dram_write(record + WEFT_RECORD_KIND_OFFSET, kind);
    dram_write(record + WEFT_RECORD_VALUE_OFFSET, value);
    dram_write(record + WEFT_RECORD_POSITION_OFFSET, position);
    dram_order();
    dram_write(state_at(rings, WEFT_STATE_TOKEN_HEAD_OFFSET), ++rings->token_head);
    board_notify();
    return true;
}

void rings_count_run(struct rings *rings)
{
    dram_write(state_at(rings, WEFT_STATE_RUNS_OFFSET), ++rings->runs);
}
