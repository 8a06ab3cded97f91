/* SPDX-License-Identifier: Apache-2.0 */
/* The hardware as the rest of the firmware sees it: words of registers and of the DRAM.
 *
 * accelerator_read/write  registers of the accelerator, by the offsets of weft_arch.h
 * soc_read/write          registers of the SoC, by the offsets of weft_arch.h
 * dram_read/write         a word at the accelerator's byte address, a multiple of 4
 * dram_order              what was written before is in the DRAM before what follows begins
 *
 * hal_native.h has the same functions for tests on a computer. */
#ifndef HAL_H
#define HAL_H

#include <stdint.h>

#include "weft_arch.h"

#if defined(__riscv)
#include "hal_riscv.h"
#else
#include "hal_native.h"
#endif

static inline uint64_t dram_read_long(uint32_t address)
{
    return dram_read(address) | (uint64_t)dram_read(address + 4) << 32;
}

static inline void dram_write_long(uint32_t address, uint64_t value)
{
    dram_write(address, (uint32_t)value);
    dram_write(address + 4, (uint32_t)(value >> 32));
}

#endif
