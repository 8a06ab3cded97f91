/* SPDX-License-Identifier: Apache-2.0 */
/* The hardware on a computer: functions that the caller of native.c gives. */
#ifndef HAL_NATIVE_H
#define HAL_NATIVE_H

/* Memory is read directly, from memory[address - memory_base] on, and written by a function, so
 * that whoever models the accelerator knows what changed. */
struct hal {
    uint32_t (*accelerator_read)(uint32_t offset);
    void (*accelerator_write)(uint32_t offset, uint32_t value);
    uint32_t (*soc_read)(uint32_t offset);
    void (*soc_write)(uint32_t offset, uint32_t value);
    void (*dram_write)(uint32_t address, uint32_t value);
    const uint8_t *memory;
    uint32_t memory_base;
    uint32_t memory_bytes;
};

/* The hardware of the firmware that runs in this thread. */
extern _Thread_local const struct hal *hal;

static inline uint32_t accelerator_read(uint32_t offset)
{
    return hal->accelerator_read(offset);
}

static inline void accelerator_write(uint32_t offset, uint32_t value)
{
    hal->accelerator_write(offset, value);
}

static inline uint32_t soc_read(uint32_t offset)
{
    return hal->soc_read(offset);
}

static inline void soc_write(uint32_t offset, uint32_t value)
{
    hal->soc_write(offset, value);
}

/* What a load at an address without memory would do on the board: the CPU traps. */
void native_trap(uint32_t address);

static inline uint32_t dram_read(uint32_t address)
{
    uint32_t at = address - hal->memory_base;
    if (address % 4 || at >= hal->memory_bytes) {
        native_trap(address);
        return 0;
    }
    return *(const volatile uint32_t *)(hal->memory + at);
}

static inline void dram_write(uint32_t address, uint32_t value)
{
    if (address % 4 || address - hal->memory_base >= hal->memory_bytes)
        native_trap(address);
    else
        hal->dram_write(address, value);
}

static inline void dram_order(void)
{
}

#endif
