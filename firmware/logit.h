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

/* inverse_temperature made ready: (below * inverse_temperature) >> 20 is the upper word of
 * (below << shift) * multiplier. The CPU multiplies and shifts by a bit per cycle. */
struct scale {
    uint32_t multiplier;
    int shift;
    uint32_t last; /* what is farther below has no weight; for it the upper word would be wrong */
};

static inline struct scale scale_of(uint32_t inverse_temperature)
{
    struct scale scale = {inverse_temperature, 32 - WEFT_DISTANCE_SHIFT, UINT32_MAX};
    for (; scale.shift && !(scale.multiplier >> 31); scale.shift--)
        scale.multiplier <<= 1;
    scale.last >>= scale.shift;
    return scale;
}

/* 32 octaves: from here on there is no weight. */
#define DISTANCE_WITHOUT_WEIGHT (32u << 16)

/* How far a candidate so far below the likeliest one is from it in octaves of weight; 16 fraction
 * bits. The y of weft.sampling, step 3, where that is less than DISTANCE_WITHOUT_WEIGHT. */
static inline uint32_t logit_distance(uint32_t below, struct scale scale)
{
    if (below > scale.last)
        return DISTANCE_WITHOUT_WEIGHT;
    return (uint32_t)((uint64_t)(below << scale.shift) * scale.multiplier >> 32);
}

/* The weight of a candidate at a distance. */
static inline uint32_t logit_weight(uint32_t distance)
{
    if (distance >= DISTANCE_WITHOUT_WEIGHT)
        return 0;
    uint32_t upper = distance >> 8, octaves = upper >> 8;
    const uint32_t *entry = &weft_exp2_table[upper & 255];
    return (entry[0] - ((entry[0] - entry[1]) * (distance & 255) >> 8)) >> octaves;
}

#endif
