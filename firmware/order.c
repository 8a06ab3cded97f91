/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include "board.h"
#include "hal.h"
#include "logit.h"

#define LOGITS_PER_SIGN_OF_LIFE 4096

/* The first distance whose product with inverse_temperature is 32 octaves: there the weight is 0.
 * By subtraction of shifted divisors, as a CPU of 32 bits divides no 64-bit numbers. */
static uint32_t distance_without_weight(uint32_t inverse_temperature)
{
    const int bits = 5 + 16 + WEFT_DISTANCE_SHIFT;
    uint64_t rest = ((uint64_t)1 << bits) + inverse_temperature - 1, quotient = 0;
    for (int shift = bits; shift >= 0; shift--) {
        if (rest >> shift >= inverse_temperature) {
            rest -= (uint64_t)inverse_temperature << shift;
            quotient += (uint64_t)1 << shift;
        }
    }
    return quotient > UINT32_MAX ? UINT32_MAX : (uint32_t)quotient;
}

static uint32_t bits_of(const struct order *order, uint32_t id)
{
    if (id % LOGITS_PER_SIGN_OF_LIFE == 0)
        board_is_alive();
    return dram_read(order->logits + 4 * id);
}

/* The part of a logit that is not bad; ORDER_PARTS if it has no weight. */
static uint32_t part_of(const struct order *order, uint32_t bits)
{
    uint32_t below = logit_below(bits, order->highest);
    bool outside = below >= order->limit || bits == LOGIT_MINUS_INFINITY;
    return outside ? ORDER_PARTS : below >> order->shift;
}

static uint32_t weight_of(const struct order *order, uint32_t bits)
{
    return logit_weight(logit_below(bits, order->highest), order->inverse_temperature);
}

uint32_t order_make(struct order *order, uint32_t logits, uint32_t count, uint32_t best,
                    uint32_t inverse_temperature)
{
    if (best == LOGIT_MINUS_INFINITY || logit_is_bad(best))
        return best;
    order->logits = logits;
    order->count = count;
    order->inverse_temperature = inverse_temperature;
    order->highest = logit_fixed(best);
    order->limit = distance_without_weight(inverse_temperature);
    order->shift = 0;
    while (order->limit >> order->shift >= ORDER_PARTS)
        order->shift++;
    for (int part = 0; part < ORDER_PARTS; part++)
        order->sums[part] = order->counts[part] = 0;
    for (uint32_t id = 0; id < count; id++) {
        uint32_t bits = bits_of(order, id);
        if (logit_is_bad(bits) || logit_rank(bits) < logit_rank(best))
            return bits;
        uint32_t part = part_of(order, bits);
        if (part < ORDER_PARTS) {
            order->counts[part]++;
            order->sums[part] += weight_of(order, bits);
        }
    }
    return 0;
}

/* Fill the window with the first logits of a part that come behind a candidate (NULL: with the very
 * first ones), in order; how many. */
static uint32_t collect(struct order *order, uint32_t part, const struct candidate *behind)
{
    struct candidate *window = order->window;
    struct candidate last = behind ? *behind : (struct candidate){0};
    uint32_t n = 0;
    for (uint32_t id = 0; id < order->count; id++) {
        uint32_t bits = bits_of(order, id), rank;
        if (part_of(order, bits) != part)
            continue;
        rank = logit_rank(bits);
        if (behind && (rank < last.rank || (rank == last.rank && id <= last.id)))
            continue;
        if (n == ORDER_WINDOW && rank >= window[n - 1].rank)
            continue;
        uint32_t k = n < ORDER_WINDOW ? n++ : n - 1;
        for (; k && window[k - 1].rank > rank; k--)
            window[k] = window[k - 1];
        window[k] = (struct candidate){rank, id};
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
        sum += weight_of(order, logit_of_rank(order->window[k].rank));
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
