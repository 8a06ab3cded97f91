/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware as a whole. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "generation.h"
#include "rings.h"

struct firmware {
    bool dead;            /* nothing more can be done */
    bool working;         /* a job is under way */
    uint32_t mailbox;     /* what rings was made of */
    uint32_t found_status; /* BOOT_STATUS as the CPU found it */
    struct rings rings;
    struct generation generation;
};

/* After reset: identify the accelerator, look for rings, end what was interrupted. */
void firmware_start(struct firmware *firmware);

/* Do what can be done at once. Call it for ever. */
void firmware_step(struct firmware *firmware);

#endif
