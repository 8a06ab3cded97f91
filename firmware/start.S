/* SPDX-License-Identifier: Apache-2.0 */
/* Reset begins at address 0 with nothing prepared. Traps go to trap_entry, through mtvec or, on a
 * CPU whose mtvec is fixed, from 0x20.
 *
 * VexRiscv knows no errors of its buses: a load or store that was answered with one raises interrupt
 * 2 until the next reset. That is the only one that is let through; it ends like a trap. */
#define INTERRUPT_MASK 0xbc0 /* a register of VexRiscv's own */
#define BUS_ERROR_INTERRUPT 2
#define MIE_EXTERNAL 11
#define MSTATUS_MIE 3

    .section .text.start
    .globl _start
_start:
    la sp, stack_end
    la t0, trap_entry
    csrw mtvec, t0
    j prepare

    .balign 32
trap_entry:
    la sp, stack_end /* where it was does not matter any more */
    csrr a0, mcause
    j trap

prepare:
    la t0, data_begin
    la t1, data_end
    la t2, data_image
1:  bgeu t0, t1, 2f
    lw t3, 0(t2)
    sw t3, 0(t0)
    addi t0, t0, 4
    addi t2, t2, 4
    j 1b
2:  la t0, bss_begin
    la t1, bss_end
3:  bgeu t0, t1, 4f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 3b
4:  li t0, 1 << BUS_ERROR_INTERRUPT
    csrw INTERRUPT_MASK, t0
    li t0, 1 << MIE_EXTERNAL
    csrw mie, t0
    csrsi mstatus, 1 << MSTATUS_MIE
    call main
5:  j 5b
