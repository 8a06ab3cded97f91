/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU met an instruction or address that it cannot execute: say so, and wait for the watchdog.
 *
 * It resets the CPU if a job was under way; the job then ends as INTERRUPTED, with this
 * BOOT_STATUS as its detail. */
#include "board.h"
#include "hal.h"

/* The cause's top bit, an interrupt, becomes bit 7 of the detail. */
void trap(uint32_t cause)
{
    board_tell(WEFT_BOOT_STAGE_TRAP, (cause & 0x7f) | (cause >> 31) << 7);
    board_light(LED_DEAD, true);
    for (;;)
        ;
}
