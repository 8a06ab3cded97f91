/* SPDX-License-Identifier: Apache-2.0 */
/* The logits of all tokens in their order, the largest first, of equal ones the lowest id first -
 * without sorting them. One look at all of them sums their weights by parts, an eighth of an octave
 * each; a second one collects the few that lie in the part that is wanted. */
#ifndef ORDER_H
#define ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "logit.h"

#define ORDER_PARTS 256
#define ORDER_WINDOW 128

struct candidate {
    uint32_t rank; /* see logit_rank */
    uint32_t id;
};

struct order {
    uint32_t logits; /* address */
    uint32_t count;
    uint32_t inverse_temperature;
    struct scale scale; /* of inverse_temperature */
    int32_t highest;    /* the largest logit as a fixed-point number */
    uint64_t sums[ORDER_PARTS];
    uint32_t counts[ORDER_PARTS];
    struct candidate window[ORDER_WINDOW];
};

/* A place in the order, with the sum of the weights up to and with it. */
struct place {
    uint32_t id;
    uint64_t sum;
};

/* Look at count logits at an address, of which best is the largest: 0, or the bits of one for which
 * nothing can be chosen. The order's inverse_temperature must be set; counted: order_keep follows. */
uint32_t order_make(struct order *order, uint32_t logits, uint32_t count, uint32_t best,
                    bool counted);

/* Leave out what comes behind the first k > 0. */
void order_keep(struct order *order, uint32_t k);

/* The sum of all weights. */
uint64_t order_total(const struct order *order);

/* The first place whose sum of weights is larger than drawn, which must be less than the total. */
struct place order_find(struct order *order, uint64_t drawn);

#endif
