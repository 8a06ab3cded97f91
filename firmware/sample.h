/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the next token exactly as weft.sampling does. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* The longest list of likeliest tokens. */
#define MOST_ENTRIES 64

struct sampling {
    uint64_t key;                 /* splitmix64_mix of the job's seed */
    uint32_t inverse_temperature; /* 0 is greedy */
    uint32_t top_p;               /* 1 to 65536 */
    uint32_t top_k;               /* 0 is all */
};

struct choice {
    bool good;         /* else no token can be chosen */
    uint32_t token;    /* the token's id */
    uint32_t bad_bits; /* a logit that is why not */
};

/* The choice of number step from the list of the likeliest tokens at an address: entries pairs
 * (F32, id), the largest logit first. It needs 0 < top_k <= entries, or greedy. */
struct choice sample_list(const struct sampling *sampling, uint32_t list, uint32_t entries,
                          uint32_t step);

/* The same from count logits at an address, in the order of the ids, of which best is the largest;
 * not greedy. They are read twice, and once more for top_p and for top_k each; where more than
 * ORDER_WINDOW lie close to the one that is drawn, once more for each so many. */
struct choice sample_logits(const struct sampling *sampling, uint32_t logits, uint32_t count,
                            uint32_t best, uint32_t step);

#endif
