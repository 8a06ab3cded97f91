/* SPDX-License-Identifier: Apache-2.0 */
/* Logits as they lie in memory, the bits of IEEE binary32, without floating point. */
#ifndef LOGIT_H
#define LOGIT_H

#include <stdbool.h>
#include <stdint.h>

#include "exp2_table.h"

#define LOGIT_MINUS_INFINITY 0xff800000u

/* Whether no token can be chosen with it: NaN and plus infinity. */
static inline bool logit_is_bad(uint32_t bits)
{
    return (bits & 0x7f800000u) == 0x7f800000u && bits != LOGIT_MINUS_INFINITY;
}

/* Smaller for a larger logit; equal for equal ones, -0 and +0 too. */
static inline uint32_t logit_rank(uint32_t bits)
{
    if (bits == 0x80000000u)
        bits = 0;
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

/* floor(logit * 2**16), limited to 32 bits. */
static inline int32_t logit_fixed(uint32_t bits)
{
    int exponent = bits >> 23 & 0xff;
    int32_t fraction = bits & 0x7fffff;
    int32_t value = exponent ? fraction | 0x800000 : fraction;
    int shift = (exponent ? exponent : 1) - 150 + WEFT_LOGIT_FRACTION_BITS;
    bool negative = bits >> 31;
    if (shift > 7)
        return negative ? INT32_MIN : INT32_MAX;
    if (shift >= 0)
        return negative ? -(value << shift) : value << shift;
    shift = -shift > 31 ? 31 : -shift;
    return negative ? -value >> shift : value >> shift;
}

/* The bits of a logit of a rank; +0 for both zeros. */
static inline uint32_t logit_of_rank(uint32_t rank)
{
    return rank >> 31 ? rank : ~rank & 0x7fffffffu;
}

/* How far a logit is below the highest one, in fixed point. */
static inline uint32_t logit_below(uint32_t bits, int32_t highest)
{
    return (uint32_t)highest - (uint32_t)logit_fixed(bits);
}

/* The weight of a candidate so far below the likeliest one; see weft.sampling, step 3. */
static inline uint32_t logit_weight(uint32_t below, uint32_t inverse_temperature)
{
    uint64_t distance = (uint64_t)below * inverse_temperature >> WEFT_DISTANCE_SHIFT;
    uint32_t octaves = (uint32_t)(distance >> 16);
    if (octaves >= 32)
        return 0;
    uint32_t index = (uint32_t)distance >> 8 & 255, part = (uint32_t)distance & 255;
    uint32_t high = weft_exp2_table[index], low = weft_exp2_table[index + 1];
    return (high - ((high - low) * part >> 8)) >> octaves;
}

#endif
