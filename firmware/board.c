/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include "hal.h"
#include "weft_jobs.h"

/* 0.8 s at 80 MHz; the longest time between two calls of board_is_alive is that of a look at 4096
 * logits, a few milliseconds. */
#define WATCHDOG_CYCLES (1u << 26)
#define BLINK_BIT 25

uint32_t board_start(void)
{
    uint32_t found = soc_read(WEFT_SOC_REG_BOOT_STATUS);
    board_watchdog_off();
    soc_write(WEFT_SOC_REG_LEDS, found & WEFT_BOOT_WATCHDOG_EXPIRED ? LED_RESTARTED : 0);
    board_tell(WEFT_BOOT_STAGE_STARTED, 0);
    return found;
}

void board_tell(uint32_t stage, uint32_t detail)
{
    uint32_t kept = soc_read(WEFT_SOC_REG_BOOT_STATUS) & WEFT_BOOT_WATCHDOG_EXPIRED;
    kept |= (uint32_t)WEFT_JOBS_VERSION << WEFT_BOOT_JOBS_SHIFT;
    soc_write(WEFT_SOC_REG_BOOT_STATUS, kept | detail << WEFT_BOOT_DETAIL_SHIFT | stage);
}

void board_light(uint32_t leds, bool on)
{
    uint32_t now = soc_read(WEFT_SOC_REG_LEDS);
    soc_write(WEFT_SOC_REG_LEDS, on ? now | leds : now & ~leds);
}

void board_change(uint32_t leds)
{
    soc_write(WEFT_SOC_REG_LEDS, soc_read(WEFT_SOC_REG_LEDS) ^ leds);
}

void board_idle(void)
{
    board_light(LED_ALIVE, soc_read(WEFT_SOC_REG_CYCLES_LOW) >> BLINK_BIT & 1);
}

void board_is_alive(void)
{
    soc_write(WEFT_SOC_REG_WATCHDOG, WATCHDOG_CYCLES);
}

void board_watchdog_off(void)
{
    soc_write(WEFT_SOC_REG_WATCHDOG, 0);
}

void board_notify(void)
{
    dram_order();
    soc_write(WEFT_SOC_REG_NOTIFY, 1);
}
