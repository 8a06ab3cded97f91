/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include "board.h"
#include "hal.h"
#include "logit.h"

#define LOGITS_PER_SIGN_OF_LIFE 4096

/* A part is what has the same octave and the next three bits. */
#define PART_SHIFT 13

/* The first number below the highest logit that has a distance: ceil(distance * 2**20 /
 * inverse_temperature), by shifted divisors, as the CPU divides no 64-bit numbers. */
static uint64_t first_below(const struct order *order, uint32_t distance)
{
    uint64_t divisor = order->inverse_temperature, quotient = 0;
    uint64_t rest = ((uint64_t)distance << WEFT_DISTANCE_SHIFT) + divisor - 1;
    for (int shift = 21 + WEFT_DISTANCE_SHIFT; shift >= 0; shift--) {
        if (rest >> shift >= divisor) {
            rest -= divisor << shift;
            quotient += (uint64_t)1 << shift;
        }
    }
    return quotient;
}

static uint32_t distance_of(const struct order *order, uint32_t bits)
{
    return logit_distance(logit_below(bits, order->highest), order->scale);
}

/* Enter the logits of some ids; 0, or the bits of a bad one. */
static uint32_t enter(struct order *order, uint32_t id, uint32_t end, bool counted)
{
    for (; id < end; id++) {
        uint32_t bits = dram_read(order->logits + 4 * id);
        if (logit_is_bad(bits))
            return bits;
        uint32_t distance = distance_of(order, bits), part = distance >> PART_SHIFT;
        if (part >= ORDER_PARTS || bits == LOGIT_MINUS_INFINITY)
            continue;
        order->sums[part] += logit_weight(distance);
        if (counted)
            order->counts[part]++;
    }
    return 0;
}

/* The end of the ids that are looked at before the next sign of life. */
static uint32_t next_end(const struct order *order, uint32_t id)
{
    uint32_t left = order->count - id;
    board_is_alive();
    return id + (left < LOGITS_PER_SIGN_OF_LIFE ? left : LOGITS_PER_SIGN_OF_LIFE);
}

uint32_t order_make(struct order *order, uint32_t logits, uint32_t count, uint32_t best,
                    bool counted)
{
    if (best == LOGIT_MINUS_INFINITY || logit_is_bad(best))
        return best;
    order->logits = logits;
    order->count = count;
    order->scale = scale_of(order->inverse_temperature);
    order->highest = logit_fixed(best);
    for (int part = 0; part < ORDER_PARTS; part++)
        order->sums[part] = order->counts[part] = 0;
    uint32_t bad = 0;
    for (uint32_t id = 0, end; id < count && !bad; id = end) {
        end = next_end(order, id);
        bad = enter(order, id, end, counted);
    }
    return bad;
}

/* Put a candidate into the n of the window, in order; how many there are then. */
static uint32_t insert(struct candidate *window, uint32_t n, uint32_t rank, uint32_t id)
{
    if (n == ORDER_WINDOW && rank >= window[n - 1].rank)
        return n;
    uint32_t k = n < ORDER_WINDOW ? n++ : n - 1;
    for (; k && window[k - 1].rank > rank; k--)
        window[k] = window[k - 1];
    window[k] = (struct candidate){rank, id};
    return n;
}

/* Fill the window with the first logits of a part that come behind a candidate (NULL: with the very
 * first ones), in order; how many. */
static uint32_t collect(struct order *order, uint32_t part, const struct candidate *behind)
{
    struct candidate last = behind ? *behind : (struct candidate){0};
    uint32_t first = (uint32_t)first_below(order, part << PART_SHIFT);
    uint64_t width = first_below(order, (part + 1) << PART_SHIFT) - first;
    uint32_t n = 0;
    for (uint32_t id = 0, end; id < order->count; id = end) {
        end = next_end(order, id);
        for (uint32_t k = id; k < end; k++) {
            uint32_t bits = dram_read(order->logits + 4 * k);
            uint32_t below = logit_below(bits, order->highest);
            if (below < first || below - first >= width || bits == LOGIT_MINUS_INFINITY)
                continue;
            uint32_t rank = logit_rank(bits);
            if (!behind || rank > last.rank || (rank == last.rank && k > last.id))
                n = insert(order->window, n, rank, k);
        }
    }
    return n;
}

/* Go through a part until the sum, which begins at what lies before it, is larger than drawn, or
 * until count places have been passed. */
static struct place walk(struct order *order, uint32_t part, uint64_t sum, uint64_t drawn,
                         uint32_t count)
{
    uint32_t n = collect(order, part, 0), k = 0;
    for (;;) {
        sum += logit_weight(distance_of(order, logit_of_rank(order->window[k].rank)));
        if (sum > drawn || !--count)
            return (struct place){order->window[k].id, sum};
        if (++k == n) {
            n = collect(order, part, &order->window[n - 1]);
            k = 0;
        }
    }
}

void order_keep(struct order *order, uint32_t k)
{
    uint32_t part = 0;
    for (; part < ORDER_PARTS && k > order->counts[part]; part++)
        k -= order->counts[part];
    if (part == ORDER_PARTS)
        return;
    if (k < order->counts[part])
        order->sums[part] = walk(order, part, 0, UINT64_MAX, k).sum;
    while (++part < ORDER_PARTS)
        order->sums[part] = order->counts[part] = 0;
}

uint64_t order_total(const struct order *order)
{
    uint64_t total = 0;
    for (int part = 0; part < ORDER_PARTS; part++)
        total += order->sums[part];
    return total;
}

struct place order_find(struct order *order, uint64_t drawn)
{
    uint64_t sum = 0;
    uint32_t part = 0;
    while (sum + order->sums[part] <= drawn)
        sum += order->sums[part++];
    return walk(order, part, sum, drawn, UINT32_MAX);
}
