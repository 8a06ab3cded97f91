/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware says about itself: LEDs, BOOT_STATUS, the watchdog, the host's interrupt. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* The LEDs, by bits. docs/boards.md says what they mean. */
enum led {
    LED_ALIVE = 1,     /* blinks while idle, changes with each run */
    LED_JOB = 2,       /* a job is under way */
    LED_PROMPT = 4,    /* its prompt is being read */
    LED_TOKEN = 8,     /* changes with each token */
    LED_FULL = 16,     /* waits for the host to read tokens */
    LED_FAILED = 32,   /* the last job ended with an error */
    LED_RESTARTED = 64, /* the watchdog has reset the CPU since the board was switched on */
    LED_DEAD = 128,    /* the firmware has ended: see BOOT_STATUS */
};

/* Details of BOOT_STATUS while READY. */
enum { DETAIL_NO_RINGS = 1 };

/* BOOT_STATUS as it was when the CPU started; LEDs off; watchdog off. */
uint32_t board_start(void);

/* Set stage (enum weft_boot_stage) and detail of BOOT_STATUS. */
void board_tell(uint32_t stage, uint32_t detail);

/* Switch LEDs on or off, or change them. */
void board_light(uint32_t leds, bool on);
void board_change(uint32_t leds);

/* Blink LED_ALIVE about once a second. */
void board_idle(void);

/* The watchdog has been reset by the CPU being alive; it ends after WATCHDOG_CYCLES. */
void board_is_alive(void);
void board_watchdog_off(void);

/* Raise the interrupt towards the host. */
void board_notify(void);

#endif
