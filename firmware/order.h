/* SPDX-License-Identifier: Apache-2.0 */
/* The logits of all tokens in their order, the largest first, of equal ones the lowest id first -
 * without sorting: a place in the order is found by narrowing its rank down, eight bits at a time,
 * with the sums of what lies in each of 256 parts. */
#ifndef ORDER_H
#define ORDER_H

#include <stdint.h>

struct place {
    uint32_t rank; /* logit_rank of the logit there */
    uint32_t id;
    uint64_t sum; /* of the weights up to and with it */
};

struct order {
    uint32_t logits; /* address */
    uint32_t count;
    uint32_t inverse_temperature;
    int32_t highest;   /* the largest logit as a fixed-point number; order_check sets it */
    struct place last; /* what comes behind it is left out */
};

/* Look at all logits: 0, or the bits of one for which nothing can be chosen. */
uint32_t order_check(struct order *order);

/* The place of number n, counted from 0; its sum is n + 1. */
struct place order_find_number(const struct order *order, uint32_t n);

/* The sum of all weights. */
uint64_t order_total(const struct order *order);

/* The first place whose sum of weights is larger than drawn, which must be less than the total. */
struct place order_find_sum(const struct order *order, uint64_t drawn);

#endif
