/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware as a library of this computer, for tests and for a board in software. */
#include <stdbool.h>
#include <stddef.h>

#include "firmware.h"
#include "hal.h"
#include "logit.h"
#include "wide.h"

_Thread_local const struct hal *hal;
static _Thread_local bool trapped;
static _Thread_local uint32_t trapped_at;

void native_trap(uint32_t address)
{
    if (!trapped)
        trapped_at = address;
    trapped = true;
}

/* Bytes of a firmware's memory. */
size_t native_firmware_bytes(void)
{
    return sizeof(struct firmware);
}

/* Run the firmware's start, or up to count steps: -1, or the address that trapped it. */
int64_t native_start(const struct hal *hardware, struct firmware *firmware)
{
    hal = hardware;
    trapped = false;
    firmware_start(firmware);
    return trapped ? (int64_t)trapped_at : -1;
}

int64_t native_steps(const struct hal *hardware, struct firmware *firmware, uint32_t count)
{
    hal = hardware;
    trapped = false;
    for (uint32_t k = 0; k < count && !trapped; k++)
        firmware_step(firmware);
    return trapped ? (int64_t)trapped_at : -1;
}

/* A choice among what lies at an address: the list of the likeliest tokens, or all logits. -1 if
 * none can be made. */
int64_t native_sample(const struct hal *hardware, bool list, uint32_t address, uint32_t count,
                      uint64_t seed, uint32_t inverse_temperature, uint32_t top_p, uint32_t top_k,
                      uint32_t step)
{
    struct sampling sampling = {splitmix64_mix(seed), inverse_temperature, top_p, top_k};
    hal = hardware;
    uint32_t best = LOGIT_MINUS_INFINITY;
    for (uint32_t k = 0; !list && k < count; k++) {
        uint32_t bits = dram_read(address + 4 * k);
        if (!logit_is_bad(bits) && logit_rank(bits) < logit_rank(best))
            best = bits;
    }
    struct choice choice = list ? sample_list(&sampling, address, count, step)
                                : sample_logits(&sampling, address, count, best, step);
    return choice.good ? (int64_t)choice.token : -1;
}
