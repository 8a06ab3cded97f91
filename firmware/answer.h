/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a job: the second half of its slot. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdint.h>

#include "generation.h"

/* Write how a job ended at an address, the reason last. */
void answer_write(const struct generation *g, uint32_t address);

#endif
