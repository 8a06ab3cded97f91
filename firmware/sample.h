/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the next token exactly as weft.sampling does. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

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

/* The same from count logits at an address, in the order of the ids. They are read 7
 * times, 5 more with top_p and 5 more with top_k; nothing is sorted or copied. */
struct choice sample_logits(const struct sampling *sampling, uint32_t logits, uint32_t count,
                            uint32_t step);

#endif
