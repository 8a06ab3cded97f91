/* SPDX-License-Identifier: Apache-2.0 */
/* Products that do not fit 64 bits, and the random numbers of sampling. */
#ifndef WIDE_H
#define WIDE_H

#include <stdint.h>

#include "exp2_table.h"

/* The upper 64 of the 128 bits of a * b. */
static inline uint64_t multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32);
    uint64_t other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

/* The output function of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
static inline uint64_t splitmix64_mix(uint64_t state)
{
    state = (state ^ state >> 30) * WEFT_MIX_A;
    state = (state ^ state >> 27) * WEFT_MIX_B;
    return state ^ state >> 31;
}

/* Number step, counted from 0, of the splitmix64 sequence that begins at seed. */
static inline uint64_t splitmix64(uint64_t seed, uint32_t step)
{
    return splitmix64_mix(seed + ((uint64_t)step + 1) * WEFT_GOLDEN);
}

#endif
