/* SPDX-License-Identifier: Apache-2.0 */
#include "accelerator.h"

#include "board.h"
#include "hal.h"

/* Outstanding bursts take a few thousand cycles; a memory that never answers is told by the next
 * run, which cannot start. */
#define RESET_POLLS 100000

bool accelerator_is_known(void)
{
    return accelerator_read(WEFT_REG_ID) == WEFT_ID_VALUE &&
           accelerator_read(WEFT_REG_VERSION) >> 16 == WEFT_VERSION_VALUE >> 16;
}

uint64_t accelerator_fingerprint(void)
{
    uint64_t low = accelerator_read(WEFT_REG_FINGERPRINT_LOW);
    return low | (uint64_t)accelerator_read(WEFT_REG_FINGERPRINT_HIGH) << 32;
}

void accelerator_set_program(uint32_t program, uint32_t length, const uint32_t region[2],
                             const uint32_t write[2])
{
    accelerator_write(WEFT_REG_PROGRAM_BASE, program);
    accelerator_write(WEFT_REG_PROGRAM_LENGTH, length);
    accelerator_write(WEFT_REG_REGION_BASE, region[0]);
    accelerator_write(WEFT_REG_REGION_LIMIT, region[1]);
    accelerator_write(WEFT_REG_WRITE_BASE, write[0]);
    accelerator_write(WEFT_REG_WRITE_LIMIT, write[1]);
}

void accelerator_run(const struct scalar *scalars, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        accelerator_write(WEFT_REG_SCALAR_0 + 4 * scalars[k].number, scalars[k].value);
    dram_order();
    accelerator_write(WEFT_REG_CONTROL, WEFT_CONTROL_START);
}

uint32_t accelerator_status(void)
{
    return accelerator_read(WEFT_REG_STATUS);
}

struct failure accelerator_failure(void)
{
    struct failure failure = {
        .fault_cause = accelerator_read(WEFT_REG_FAULT_CAUSE),
        .fault_address = accelerator_read(WEFT_REG_FAULT_ADDRESS),
        .status = accelerator_read(WEFT_REG_STATUS),
        .program_counter = accelerator_read(WEFT_REG_PROGRAM_COUNTER),
    };
    for (uint32_t k = 0; k < N_ENGINES; k++)
        failure.engines[k] = accelerator_read(WEFT_REG_ENGINE_SEQUENCER + 4 * k);
    return failure;
}

struct counters accelerator_counters(void)
{
    static const uint16_t low_words[N_COUNTERS] = {
        WEFT_REG_CYCLES_LOW,
        WEFT_REG_BYTES_READ_LOW,
        WEFT_REG_BYTES_WRITTEN_LOW,
        WEFT_REG_MAC_CYCLES_LOW,
    };
    struct counters counters;
    for (uint32_t k = 0; k < N_COUNTERS; k++) {
        uint64_t low = accelerator_read(low_words[k]);
        counters.value[k] = low | (uint64_t)accelerator_read(low_words[k] + 4u) << 32;
    }
    return counters;
}

void accelerator_reset(void)
{
    accelerator_write(WEFT_REG_CONTROL, WEFT_CONTROL_RESET);
    for (uint32_t k = 0; k < RESET_POLLS; k++)
        if (!(accelerator_status() & WEFT_STATUS_RESETTING))
            return;
}
