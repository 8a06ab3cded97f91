/* SPDX-License-Identifier: Apache-2.0 */
/* The hardware on the board: loads and stores at the addresses of docs/soc.md. */
#ifndef HAL_RISCV_H
#define HAL_RISCV_H

static inline volatile uint32_t *word_at(uint32_t address)
{
    return (volatile uint32_t *)address;
}

static inline uint32_t accelerator_read(uint32_t offset)
{
    return *word_at(WEFT_ACCELERATOR_BASE + offset);
}

static inline void accelerator_write(uint32_t offset, uint32_t value)
{
    *word_at(WEFT_ACCELERATOR_BASE + offset) = value;
}

static inline uint32_t soc_read(uint32_t offset)
{
    return *word_at(WEFT_SOC_BASE + offset);
}

static inline void soc_write(uint32_t offset, uint32_t value)
{
    *word_at(WEFT_SOC_BASE + offset) = value;
}

static inline uint32_t dram_read(uint32_t address)
{
    return *word_at(WEFT_DRAM_BASE + address);
}

static inline void dram_write(uint32_t address, uint32_t value)
{
    *word_at(WEFT_DRAM_BASE + address) = value;
}

static inline void dram_order(void)
{
    __asm__ volatile("fence" ::: "memory");
}

#endif
