/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m weft_arch.generate` from the Python package weft_arch; do not edit.
 *
 * docs/instruction-set.md, docs/registers.md and docs/soc.md say what it all means. */
#ifndef WEFT_ARCH_H
#define WEFT_ARCH_H

#include <stdint.h>

/* Instructions */
#define WEFT_INSTRUCTION_BYTES 32
#define WEFT_N_SCALARS 16 /* Scalar registers S0 to S15, 32 bits; S0 reads as 0 */
#define WEFT_N_TOKENS 31 /* Dependency tokens 1 to 31 */
#define WEFT_TOKEN_LIMIT 63 /* Largest count of a token; giving one more is a fault */
#define WEFT_LOOP_DEPTH 4 /* Nested hardware loops */
#define WEFT_POSITION_LIMIT 8388608 /* Positions and numbers of keys of an ATTEND are below this */

enum weft_engine {
    WEFT_ENGINE_SEQUENCER = 0,
    WEFT_ENGINE_STREAM = 1,
    WEFT_ENGINE_COMPUTE = 2,
    WEFT_ENGINE_VECTOR = 3,
    WEFT_ENGINE_LOAD = 4,
    WEFT_ENGINE_STORE = 5,
};

enum weft_opcode {
    WEFT_OPCODE_HALT = 0x00,
    WEFT_OPCODE_FENCE = 0x01,
    WEFT_OPCODE_LOOP = 0x02,
    WEFT_OPCODE_SCALAR = 0x03,
    WEFT_OPCODE_STREAM_WEIGHTS = 0x08,
    WEFT_OPCODE_STREAM_KV = 0x09,
    WEFT_OPCODE_MATMUL = 0x10,
    WEFT_OPCODE_ATTEND = 0x11,
    WEFT_OPCODE_CODEBOOK = 0x12,
    WEFT_OPCODE_VECTOR = 0x18,
    WEFT_OPCODE_REDUCE = 0x19,
    WEFT_OPCODE_LOAD = 0x20,
    WEFT_OPCODE_STORE = 0x28,
    WEFT_OPCODE_STORE_KV = 0x29,
    WEFT_OPCODE_STORE_TOP_K = 0x2a,
};

enum weft_weight_format {
    WEFT_WEIGHT_FORMAT_W8 = 0, /* int8 */
    /* 4-bit codes through the codebook; byte j of a block holds code j (low) and j + 16 (high) */
    WEFT_WEIGHT_FORMAT_W4 = 1,
};

enum weft_init_mode {
    WEFT_INIT_MODE_ZERO = 0,
    WEFT_INIT_MODE_VECTOR_MEMORY = 1,
};

enum weft_vector_op {
    WEFT_VECTOR_OP_COPY = 0, /* a */
    WEFT_VECTOR_OP_ADD = 1, /* a + b */
    WEFT_VECTOR_OP_SUB = 2, /* a - b */
    WEFT_VECTOR_OP_MUL = 3, /* a * b */
    WEFT_VECTOR_OP_ROPE = 4, /* a * c + swap(a) * s, see VECTOR */
    WEFT_VECTOR_OP_ACTIVATE = 5, /* a * g(a), g chosen by activation */
};

enum weft_activation {
    WEFT_ACTIVATION_SILU = 0,
    WEFT_ACTIVATION_GELU_TANH = 1,
    WEFT_ACTIVATION_GELU_ERF = 2,
};

enum weft_operand_b {
    WEFT_OPERAND_B_VECTOR_MEMORY = 0,
    /* one F24 of the row scalar memory for all words of the inner loop */
    WEFT_OPERAND_B_ROW_SCALAR = 1,
    WEFT_OPERAND_B_IMMEDIATE = 2, /* the F24 pattern in address bits 0-23 */
};

enum weft_vector_destination {
    WEFT_VECTOR_DESTINATION_VECTOR_MEMORY = 0,
    /* quantised to activation_bits into the activation buffer */
    WEFT_VECTOR_DESTINATION_ACTIVATIONS = 1,
    WEFT_VECTOR_DESTINATION_KEYS = 2, /* quantised to 8 bits for STORE_KV, exponent at least -14 */
    WEFT_VECTOR_DESTINATION_VALUES = 3, /* quantised to 8 bits for STORE_KV */
};

enum weft_reduce_op {
    WEFT_REDUCE_OP_SUM = 0,
    WEFT_REDUCE_OP_SUM_SQUARES = 1,
};

enum weft_reduce_post {
    WEFT_REDUCE_POST_NONE = 0,
    WEFT_REDUCE_POST_RSQRT = 1,
    WEFT_REDUCE_POST_RECIPROCAL = 2,
};

enum weft_scalar_op {
    WEFT_SCALAR_OP_ADD = 0, /* S[address_reg] + S[count_reg] + address */
    WEFT_SCALAR_OP_MUL = 1, /* S[address_reg] * address (low 32 bits) */
    WEFT_SCALAR_OP_SHIFT_RIGHT = 2, /* S[address_reg] >> (address mod 32) */
    WEFT_SCALAR_OP_AND = 3, /* S[address_reg] & address */
    WEFT_SCALAR_OP_SUB = 4, /* S[address_reg] - S[count_reg] - address */
    WEFT_SCALAR_OP_MIN = 5, /* min(S[address_reg], S[count_reg] + address), unsigned */
    WEFT_SCALAR_OP_MAX = 6, /* max(S[address_reg], S[count_reg] + address), unsigned */
};

enum weft_load_format {
    WEFT_LOAD_FORMAT_F32 = 0,
    WEFT_LOAD_FORMAT_F16 = 1, /* LOAD only */
    /* LOAD only: a row is its float16 scales (one per 32 values), padded with zeros to whole beats,
     * then its int8 codes; an element is round(code * scale) */
    WEFT_LOAD_FORMAT_Q8 = 2,
};

enum weft_control {
    /* Clear done, fault and counters' run state and run the program from its first instruction.
     * Ignored while running, and after a fault until RESET */
    WEFT_CONTROL_START = 1,
    /* Finish outstanding memory transactions, then put every engine, queue, token, buffer and
     * scalar register into its initial state. Region, program and interrupt registers and the
     * counters keep their values */
    WEFT_CONTROL_RESET = 2,
    WEFT_CONTROL_CLEAR_COUNTERS = 4, /* Set every counter to 0 */
};

enum weft_status {
    WEFT_STATUS_RUNNING = 1, /* a program is at work */
    WEFT_STATUS_DONE = 2, /* the last program came to its HALT */
    WEFT_STATUS_FAULT = 4, /* the last program was stopped; FAULT_CAUSE says why */
    WEFT_STATUS_RESETTING = 8, /* a reset waits for outstanding memory transactions */
};

enum weft_interrupt {
    WEFT_INTERRUPT_DONE = 1, /* a program came to its HALT */
    WEFT_INTERRUPT_FAULT = 2, /* a program was stopped */
};

enum weft_fault {
    WEFT_FAULT_NONE = 0, /* no fault since the last start or reset */
    /* unknown opcode or enumeration, reserved bit, misplaced loop end, or a program without HALT or
     * longer than the instruction memory; FAULT_ADDRESS is the instruction's index */
    WEFT_FAULT_ILLEGAL_INSTRUCTION = 1,
    /* an operand out of its range (rows, counts of zero); FAULT_ADDRESS is the opcode */
    WEFT_FAULT_ILLEGAL_OPERAND = 2,
    /* not a multiple of beat_bytes (row numbers of a gather: of 4) */
    WEFT_FAULT_UNALIGNED_ADDRESS = 3,
    /* outside REGION_BASE..REGION_LIMIT, or a write outside WRITE_BASE..WRITE_LIMIT */
    WEFT_FAULT_ADDRESS_OUT_OF_RANGE = 4,
    WEFT_FAULT_READ_ERROR = 5, /* the memory answered a read with SLVERR or DECERR */
    WEFT_FAULT_WRITE_ERROR = 6, /* the memory answered a write with SLVERR or DECERR */
    /* a dependency token was given more than 63 times; FAULT_ADDRESS is the token */
    WEFT_FAULT_TOKEN_OVERFLOW = 7,
    /* loops nested more than 4 deep; FAULT_ADDRESS is the instruction's index */
    WEFT_FAULT_LOOP_OVERFLOW = 8,
};

enum weft_engine_state {
    WEFT_ENGINE_STATE_IDLE = 0, /* no instruction */
    WEFT_ENGINE_STATE_WAITING_TOKEN = 1, /* the next instruction waits for a dependency token */
    WEFT_ENGINE_STATE_BUSY = 2, /* an instruction is in work */
};

enum weft_link_opcode {
    /* begin the session named by address; the payload of the answer is the board's identity */
    WEFT_LINK_OPCODE_HELLO = 1,
    /* value bytes from address, any alignment, at most 1024: the payload of the answer */
    WEFT_LINK_OPCODE_READ_MEMORY = 2,
    /* write the value bytes of payload at address, any alignment, at most 1024; answered when the
     * memory has acknowledged them */
    WEFT_LINK_OPCODE_WRITE_MEMORY = 3,
    WEFT_LINK_OPCODE_READ_REGISTER = 4, /* the answer's value is the register at address */
    /* write value to the register at address; answered when it has been written */
    WEFT_LINK_OPCODE_WRITE_REGISTER = 5,
    /* wait until the interrupt is high, for at most value clock cycles, and no longer than until
     * another request has arrived; the answer's value is 1 if the interrupt is high, else 0 */
    WEFT_LINK_OPCODE_WAIT_INTERRUPT = 6,
    /* the answer's value is the CRC-32 of the value bytes from address */
    WEFT_LINK_OPCODE_CHECK_MEMORY = 7,
    WEFT_LINK_OPCODE_RESET = 8, /* hold the accelerator's reset input; memory and session stay */
};

enum weft_link_status {
    WEFT_LINK_STATUS_OKAY = 0, /* done */
    /* not done: another sequence number is expected, the value of the answer */
    WEFT_LINK_STATUS_OUT_OF_ORDER = 1,
    /* not done: there was no HELLO since the board was switched on */
    WEFT_LINK_STATUS_NO_SESSION = 2,
    /* not done: the opcode is unknown, or more than 1024 bytes were asked for */
    WEFT_LINK_STATUS_BAD_REQUEST = 3,
    /* the memory or register bus answered with an error; what was read is not to be used */
    WEFT_LINK_STATUS_BUS_ERROR = 4,
};

enum weft_cpu_control {
    /* the CPU is held in reset; it begins anew at 0 when this is cleared */
    WEFT_CPU_CONTROL_HOLD = 1,
    /* the accelerator's interrupt goes to the CPU only: the link's interrupt is NOTIFY alone */
    WEFT_CPU_CONTROL_ACCELERATOR_TO_CPU = 2,
};

enum weft_soc_interrupt {
    WEFT_SOC_INTERRUPT_DOORBELL = 1, /* DOORBELL is not 0 */
    WEFT_SOC_INTERRUPT_ACCELERATOR = 2, /* the accelerator's interrupt is high */
};

enum weft_boot_stage {
    WEFT_BOOT_STAGE_RESET = 0, /* nothing has run since the board was switched on */
    WEFT_BOOT_STAGE_STARTED = 1, /* the first instructions have run: RAM is being prepared */
    /* ended: the accelerator's ID or VERSION is not the one that the firmware was made for */
    WEFT_BOOT_STAGE_NO_ACCELERATOR = 2,
    WEFT_BOOT_STAGE_READY = 3, /* waits for the doorbell */
    WEFT_BOOT_STAGE_WORKING = 4, /* a job is under way */
    /* ended: the CPU met an instruction or address that it cannot execute */
    WEFT_BOOT_STAGE_TRAP = 5,
};

/* Fields of every instruction: first bit and width */
#define WEFT_FIELD_OPCODE_OFFSET 0 /* instruction code */
#define WEFT_FIELD_OPCODE_WIDTH 6
#define WEFT_FIELD_WAIT_A_OFFSET 6 /* dependency token to take first, 0: none */
#define WEFT_FIELD_WAIT_A_WIDTH 5
#define WEFT_FIELD_WAIT_B_OFFSET 11 /* second dependency token to take first, 0: none */
#define WEFT_FIELD_WAIT_B_WIDTH 5
#define WEFT_FIELD_SIGNAL_A_OFFSET 16 /* dependency token to give at the end, 0: none */
#define WEFT_FIELD_SIGNAL_A_WIDTH 5
#define WEFT_FIELD_SIGNAL_B_OFFSET 21 /* second dependency token to give at the end, 0: none */
#define WEFT_FIELD_SIGNAL_B_WIDTH 5
#define WEFT_FIELD_ADDRESS_REG_OFFSET 26 /* scalar register added to address */
#define WEFT_FIELD_ADDRESS_REG_WIDTH 4
#define WEFT_FIELD_ADDRESS_OFFSET 32 /* immediate, see the instruction */
#define WEFT_FIELD_ADDRESS_WIDTH 32
#define WEFT_FIELD_COUNT_OFFSET 64 /* immediate, see the instruction */
#define WEFT_FIELD_COUNT_WIDTH 24
#define WEFT_FIELD_COUNT_REG_OFFSET 88 /* scalar register added to count */
#define WEFT_FIELD_COUNT_REG_WIDTH 4
#define WEFT_FIELD_AUX_A_REG_OFFSET 92 /* scalar register read as aux_a */
#define WEFT_FIELD_AUX_A_REG_WIDTH 4
#define WEFT_FIELD_AUX_B_REG_OFFSET 96 /* scalar register read as aux_b */
#define WEFT_FIELD_AUX_B_REG_WIDTH 4

/* Fields of LOOP */
#define WEFT_LOOP_BODY_END_OFFSET 100 /* index of the first instruction after the loop */
#define WEFT_LOOP_BODY_END_WIDTH 12

/* Fields of SCALAR */
#define WEFT_SCALAR_OPERATION_OFFSET 100 /* what to compute */
#define WEFT_SCALAR_OPERATION_WIDTH 4
#define WEFT_SCALAR_DESTINATION_OFFSET 104 /* register to write; 0 discards */
#define WEFT_SCALAR_DESTINATION_WIDTH 4

/* Fields of STREAM_WEIGHTS */
#define WEFT_STREAM_WEIGHTS_FORMAT_OFFSET 100 /* code format */
#define WEFT_STREAM_WEIGHTS_FORMAT_WIDTH 2
#define WEFT_STREAM_WEIGHTS_RESIDENT_OFFSET 102 /* from or to the resident memory */
#define WEFT_STREAM_WEIGHTS_RESIDENT_WIDTH 2

/* Fields of STREAM_KV */
#define WEFT_STREAM_KV_K_BLOCKS_OFFSET 100 /* blocks of 32 channels in a slot, at least 1 */
#define WEFT_STREAM_KV_K_BLOCKS_WIDTH 4
#define WEFT_STREAM_KV_WIDE_KEYS_OFFSET 104 /* the slot's keys are in two planes */
#define WEFT_STREAM_KV_WIDE_KEYS_WIDTH 1

/* Fields of MATMUL */
#define WEFT_MATMUL_FORMAT_OFFSET 100 /* code format of the tiles */
#define WEFT_MATMUL_FORMAT_WIDTH 2
#define WEFT_MATMUL_ACTIVATION_STRIDE_OFFSET 102 /* blocks from row to row */
#define WEFT_MATMUL_ACTIVATION_STRIDE_WIDTH 10
#define WEFT_MATMUL_K_BLOCKS_OFFSET 112 /* blocks along the reduction, at least 1 */
#define WEFT_MATMUL_K_BLOCKS_WIDTH 10
#define WEFT_MATMUL_N_TILES_OFFSET 122 /* tiles of output channels, at least 1 */
#define WEFT_MATMUL_N_TILES_WIDTH 16
#define WEFT_MATMUL_INIT_OFFSET 138 /* what the accumulators start from */
#define WEFT_MATMUL_INIT_WIDTH 1
#define WEFT_MATMUL_INITIAL_OFFSET 139 /* vector memory word of the initial value */
#define WEFT_MATMUL_INITIAL_WIDTH 14
#define WEFT_MATMUL_INITIAL_STRIDE_OFFSET 153 /* words from row to row */
#define WEFT_MATMUL_INITIAL_STRIDE_WIDTH 12
#define WEFT_MATMUL_TO_VECTOR_MEMORY_OFFSET 165 /* write the output words */
#define WEFT_MATMUL_TO_VECTOR_MEMORY_WIDTH 1
#define WEFT_MATMUL_DESTINATION_OFFSET 166 /* vector memory word of the output */
#define WEFT_MATMUL_DESTINATION_WIDTH 14
#define WEFT_MATMUL_DESTINATION_STRIDE_OFFSET 180 /* words from row to row */
#define WEFT_MATMUL_DESTINATION_STRIDE_WIDTH 12
#define WEFT_MATMUL_TO_TOP_K_OFFSET 192 /* send the outputs to the top-k unit */
#define WEFT_MATMUL_TO_TOP_K_WIDTH 1
#define WEFT_MATMUL_CLEAR_TOP_K_OFFSET 193 /* empty the top-k list first */
#define WEFT_MATMUL_CLEAR_TOP_K_WIDTH 1
#define WEFT_MATMUL_TOP_K_BASE_OFFSET 194 /* index of the first output channel */
#define WEFT_MATMUL_TOP_K_BASE_WIDTH 18
#define WEFT_MATMUL_TOP_K_LIMIT_OFFSET 212 /* first index that does not enter */
#define WEFT_MATMUL_TOP_K_LIMIT_WIDTH 18

/* Fields of ATTEND */
#define WEFT_ATTEND_ACTIVATION_STRIDE_OFFSET 100 /* blocks from query row to query row */
#define WEFT_ATTEND_ACTIVATION_STRIDE_WIDTH 10
#define WEFT_ATTEND_K_BLOCKS_OFFSET 110 /* blocks of 32 channels in a slot, 1 to 8 */
#define WEFT_ATTEND_K_BLOCKS_WIDTH 4
#define WEFT_ATTEND_ROWS_PER_POSITION_OFFSET 114 /* query rows that share a position, at least 1 */
#define WEFT_ATTEND_ROWS_PER_POSITION_WIDTH 6
#define WEFT_ATTEND_CAUSAL_OFFSET 120 /* a query sees keys up to its own position */
#define WEFT_ATTEND_CAUSAL_WIDTH 1
#define WEFT_ATTEND_PROBABILITIES_OFFSET 121 /* activation block where probabilities are kept */
#define WEFT_ATTEND_PROBABILITIES_WIDTH 14
#define WEFT_ATTEND_DESTINATION_OFFSET 135 /* vector memory word of the output */
#define WEFT_ATTEND_DESTINATION_WIDTH 14
#define WEFT_ATTEND_DESTINATION_STRIDE_OFFSET 149 /* words from query row to query row */
#define WEFT_ATTEND_DESTINATION_STRIDE_WIDTH 12
#define WEFT_ATTEND_ROW_SCALAR_OFFSET 161 /* row scalar of the first query row */
#define WEFT_ATTEND_ROW_SCALAR_WIDTH 8
#define WEFT_ATTEND_WIDE_KEYS_OFFSET 169 /* the slot's keys are in two planes */
#define WEFT_ATTEND_WIDE_KEYS_WIDTH 1

/* Fields of CODEBOOK */
#define WEFT_CODEBOOK_ENTRIES_LOW_OFFSET 100 /* entries 0 to 7, entry 0 in the lowest byte */
#define WEFT_CODEBOOK_ENTRIES_LOW_WIDTH 64
#define WEFT_CODEBOOK_ENTRIES_HIGH_OFFSET 164 /* entries 8 to 15 */
#define WEFT_CODEBOOK_ENTRIES_HIGH_WIDTH 64

/* Fields of VECTOR */
#define WEFT_VECTOR_OPERATION_OFFSET 100 /* what to compute */
#define WEFT_VECTOR_OPERATION_WIDTH 3
#define WEFT_VECTOR_ACTIVATION_OFFSET 103 /* gate of ACTIVATE */
#define WEFT_VECTOR_ACTIVATION_WIDTH 2
#define WEFT_VECTOR_OPERAND_B_OFFSET 105 /* where b comes from */
#define WEFT_VECTOR_OPERAND_B_WIDTH 2
#define WEFT_VECTOR_TO_OFFSET 107 /* where results go */
#define WEFT_VECTOR_TO_WIDTH 2
#define WEFT_VECTOR_WORDS_OFFSET 109 /* innermost iterations, at least 1 */
#define WEFT_VECTOR_WORDS_WIDTH 10
#define WEFT_VECTOR_INNER_OFFSET 119 /* middle iterations, at least 1 */
#define WEFT_VECTOR_INNER_WIDTH 7
#define WEFT_VECTOR_A_OFFSET 126 /* word of operand a */
#define WEFT_VECTOR_A_WIDTH 14
#define WEFT_VECTOR_B_OFFSET 140 /* word or row scalar of operand b */
#define WEFT_VECTOR_B_WIDTH 14
#define WEFT_VECTOR_D_OFFSET 154 /* word or block of the destination */
#define WEFT_VECTOR_D_WIDTH 14
#define WEFT_VECTOR_A_OUTER_OFFSET 168 /* words */
#define WEFT_VECTOR_A_OUTER_WIDTH 11
#define WEFT_VECTOR_A_INNER_OFFSET 179 /* words */
#define WEFT_VECTOR_A_INNER_WIDTH 11
#define WEFT_VECTOR_B_OUTER_OFFSET 190 /* words or row scalars */
#define WEFT_VECTOR_B_OUTER_WIDTH 11
#define WEFT_VECTOR_B_INNER_OFFSET 201 /* words or row scalars */
#define WEFT_VECTOR_B_INNER_WIDTH 11
#define WEFT_VECTOR_D_OUTER_OFFSET 212 /* words or blocks */
#define WEFT_VECTOR_D_OUTER_WIDTH 11
#define WEFT_VECTOR_D_INNER_OFFSET 223 /* words or blocks */
#define WEFT_VECTOR_D_INNER_WIDTH 11
#define WEFT_VECTOR_GROUP_WORDS_OFFSET 234 /* words per quantised group, 1 to 32 */
#define WEFT_VECTOR_GROUP_WORDS_WIDTH 6
#define WEFT_VECTOR_FILL_OFFSET 240 /* one zero-filled group per inner iteration */
#define WEFT_VECTOR_FILL_WIDTH 1
#define WEFT_VECTOR_GROUP_OFFSET_OFFSET 241 /* first word inside the zero-filled group */
#define WEFT_VECTOR_GROUP_OFFSET_WIDTH 5
#define WEFT_VECTOR_WIDE_KEYS_OFFSET 246 /* KEYS: in two planes */
#define WEFT_VECTOR_WIDE_KEYS_WIDTH 1

/* Fields of REDUCE */
#define WEFT_REDUCE_OPERATION_OFFSET 100 /* what is summed */
#define WEFT_REDUCE_OPERATION_WIDTH 2
#define WEFT_REDUCE_POST_OFFSET 102 /* function of the result */
#define WEFT_REDUCE_POST_WIDTH 2
#define WEFT_REDUCE_WORDS_OFFSET 104 /* words per reduction, at least 1 */
#define WEFT_REDUCE_WORDS_WIDTH 10
#define WEFT_REDUCE_INNER_OFFSET 114 /* middle iterations, at least 1 */
#define WEFT_REDUCE_INNER_WIDTH 7
#define WEFT_REDUCE_A_OFFSET 121 /* word of operand a */
#define WEFT_REDUCE_A_WIDTH 14
#define WEFT_REDUCE_A_OUTER_OFFSET 135 /* words */
#define WEFT_REDUCE_A_OUTER_WIDTH 11
#define WEFT_REDUCE_A_INNER_OFFSET 146 /* words */
#define WEFT_REDUCE_A_INNER_WIDTH 11
#define WEFT_REDUCE_D_OFFSET 157 /* first row scalar */
#define WEFT_REDUCE_D_WIDTH 8
#define WEFT_REDUCE_D_OUTER_OFFSET 165 /* row scalars */
#define WEFT_REDUCE_D_OUTER_WIDTH 8
#define WEFT_REDUCE_D_INNER_OFFSET 173 /* row scalars */
#define WEFT_REDUCE_D_INNER_WIDTH 8
#define WEFT_REDUCE_OFFSET_OFFSET 181 /* F24 pattern added after scaling */
#define WEFT_REDUCE_OFFSET_WIDTH 24

/* Fields of LOAD */
#define WEFT_LOAD_FORMAT_OFFSET 100 /* element format in memory */
#define WEFT_LOAD_FORMAT_WIDTH 2
#define WEFT_LOAD_GATHER_OFFSET 102 /* row numbers come from memory */
#define WEFT_LOAD_GATHER_WIDTH 1
#define WEFT_LOAD_WORDS_OFFSET 103 /* vector memory words per row, at least 1 */
#define WEFT_LOAD_WORDS_WIDTH 12
#define WEFT_LOAD_DESTINATION_OFFSET 115 /* vector memory word of row 0 */
#define WEFT_LOAD_DESTINATION_WIDTH 14
#define WEFT_LOAD_DESTINATION_STRIDE_OFFSET 129 /* words from row to row */
#define WEFT_LOAD_DESTINATION_STRIDE_WIDTH 12
#define WEFT_LOAD_ROW_BYTES_OFFSET 141 /* bytes from row to row */
#define WEFT_LOAD_ROW_BYTES_WIDTH 24

/* Fields of STORE */
#define WEFT_STORE_WORDS_OFFSET 100 /* vector memory words per row, at least 1 */
#define WEFT_STORE_WORDS_WIDTH 12
#define WEFT_STORE_SOURCE_OFFSET 112 /* vector memory word of row 0 */
#define WEFT_STORE_SOURCE_WIDTH 14
#define WEFT_STORE_SOURCE_STRIDE_OFFSET 126 /* words from row to row */
#define WEFT_STORE_SOURCE_STRIDE_WIDTH 12
#define WEFT_STORE_ROW_BYTES_OFFSET 138 /* bytes from row to row */
#define WEFT_STORE_ROW_BYTES_WIDTH 24

/* Fields of STORE_KV */
#define WEFT_STORE_KV_VALUES_OFFSET 100 /* 0: keys, 1: values */
#define WEFT_STORE_KV_VALUES_WIDTH 1
#define WEFT_STORE_KV_K_BLOCKS_OFFSET 101 /* blocks of 32 channels in a slot, at least 1 */
#define WEFT_STORE_KV_K_BLOCKS_WIDTH 4
#define WEFT_STORE_KV_SLOTS_OFFSET 105 /* KV slots, at least 1 */
#define WEFT_STORE_KV_SLOTS_WIDTH 8
#define WEFT_STORE_KV_SLOT_BYTES_OFFSET 113 /* bytes from slot to slot */
#define WEFT_STORE_KV_SLOT_BYTES_WIDTH 32
#define WEFT_STORE_KV_WIDE_KEYS_OFFSET 145 /* the slots' keys are in two planes */
#define WEFT_STORE_KV_WIDE_KEYS_WIDTH 1

/* Header of a program image */
#define WEFT_IMAGE_MAGIC 0x54464557u
#define WEFT_IMAGE_VERSION 1
#define WEFT_IMAGE_MAGIC_OFFSET 0 /* the letters "WEFT" */
#define WEFT_IMAGE_VERSION_OFFSET 4 /* format version, 1 */
#define WEFT_IMAGE_HEADER_BYTES_OFFSET 6 /* size of this header, 32 */
/* fingerprint of the configuration that the program is for */
#define WEFT_IMAGE_FINGERPRINT_OFFSET 8
#define WEFT_IMAGE_COUNT_OFFSET 16 /* number of instructions */
#define WEFT_IMAGE_CHECKSUM_OFFSET 20 /* CRC-32 of the instruction bytes */
#define WEFT_IMAGE_RESERVED_OFFSET 24 /* zero */
#define WEFT_IMAGE_HEADER_BYTES 32

/* Registers: byte offsets */
#define WEFT_ID_VALUE 0x57454654u
#define WEFT_VERSION_VALUE 0x00010000u
#define WEFT_WINDOW_BYTES 0x400
#define WEFT_REG_ID 0x000 /* 0x57454654, 'WEFT' */
#define WEFT_REG_VERSION 0x004 /* contract version, major in the upper half */
#define WEFT_REG_FINGERPRINT_LOW 0x008 /* configuration fingerprint, bits 0-31 */
#define WEFT_REG_FINGERPRINT_HIGH 0x00c /* configuration fingerprint, bits 32-63 */
#define WEFT_REG_GEOMETRY 0x010 /* array_cols (0-7), beat_bytes (8-15), activation_bits (16-23) */
#define WEFT_REG_CONTROL 0x020 /* see Control */
#define WEFT_REG_STATUS 0x024 /* see Status */
#define WEFT_REG_INTERRUPT_ENABLE 0x028 /* see Interrupt */
#define WEFT_REG_INTERRUPT_PENDING 0x02c /* see Interrupt; write 1 to clear */
#define WEFT_REG_FAULT_CAUSE 0x030 /* see Fault */
#define WEFT_REG_FAULT_ADDRESS 0x034 /* address or index of the first fault */
#define WEFT_REG_PROGRAM_BASE 0x040 /* memory address of the first instruction, beat aligned */
#define WEFT_REG_PROGRAM_LENGTH 0x044 /* instructions in the program */
#define WEFT_REG_REGION_BASE 0x048 /* first byte that the device may read */
#define WEFT_REG_REGION_LIMIT 0x04c /* first byte after it */
#define WEFT_REG_WRITE_BASE 0x050 /* first byte that the device may write */
#define WEFT_REG_WRITE_LIMIT 0x054 /* first byte after it */
#define WEFT_REG_PROGRAM_COUNTER 0x058 /* instruction that the sequencer is at */
#define WEFT_REG_ENGINE_SEQUENCER 0x060 /* see EngineState */
#define WEFT_REG_ENGINE_STREAM 0x064 /* see EngineState */
#define WEFT_REG_ENGINE_COMPUTE 0x068 /* see EngineState */
#define WEFT_REG_ENGINE_VECTOR 0x06c /* see EngineState */
#define WEFT_REG_ENGINE_LOAD 0x070 /* see EngineState */
#define WEFT_REG_ENGINE_STORE 0x074 /* see EngineState */
#define WEFT_REG_SCALAR_0 0x080 /* scalar register S0, written while idle */
#define WEFT_REG_SCALAR_1 0x084 /* scalar register S1, written while idle */
#define WEFT_REG_SCALAR_2 0x088 /* scalar register S2, written while idle */
#define WEFT_REG_SCALAR_3 0x08c /* scalar register S3, written while idle */
#define WEFT_REG_SCALAR_4 0x090 /* scalar register S4, written while idle */
#define WEFT_REG_SCALAR_5 0x094 /* scalar register S5, written while idle */
#define WEFT_REG_SCALAR_6 0x098 /* scalar register S6, written while idle */
#define WEFT_REG_SCALAR_7 0x09c /* scalar register S7, written while idle */
#define WEFT_REG_SCALAR_8 0x0a0 /* scalar register S8, written while idle */
#define WEFT_REG_SCALAR_9 0x0a4 /* scalar register S9, written while idle */
#define WEFT_REG_SCALAR_10 0x0a8 /* scalar register S10, written while idle */
#define WEFT_REG_SCALAR_11 0x0ac /* scalar register S11, written while idle */
#define WEFT_REG_SCALAR_12 0x0b0 /* scalar register S12, written while idle */
#define WEFT_REG_SCALAR_13 0x0b4 /* scalar register S13, written while idle */
#define WEFT_REG_SCALAR_14 0x0b8 /* scalar register S14, written while idle */
#define WEFT_REG_SCALAR_15 0x0bc /* scalar register S15, written while idle */
#define WEFT_REG_CYCLES_LOW 0x100 /* cycles from start to done or fault */
#define WEFT_REG_CYCLES_HIGH 0x104 /* cycles from start to done or fault */
#define WEFT_REG_BYTES_READ_LOW 0x108 /* bytes received on the AXI read data channel */
#define WEFT_REG_BYTES_READ_HIGH 0x10c /* bytes received on the AXI read data channel */
/* bytes with an active strobe sent on the AXI write data channel */
#define WEFT_REG_BYTES_WRITTEN_LOW 0x110
/* bytes with an active strobe sent on the AXI write data channel */
#define WEFT_REG_BYTES_WRITTEN_HIGH 0x114
#define WEFT_REG_WRITE_BEATS_LOW 0x118 /* beats sent on the AXI write data channel */
#define WEFT_REG_WRITE_BEATS_HIGH 0x11c /* beats sent on the AXI write data channel */
#define WEFT_REG_MAC_CYCLES_LOW 0x120 /* cycles in which an activation row entered the array */
#define WEFT_REG_MAC_CYCLES_HIGH 0x124 /* cycles in which an activation row entered the array */
/* cycles in which the compute unit had an instruction in work */
#define WEFT_REG_COMPUTE_BUSY_LOW 0x128
/* cycles in which the compute unit had an instruction in work */
#define WEFT_REG_COMPUTE_BUSY_HIGH 0x12c
/* cycles in which the compute unit waited for a dependency token */
#define WEFT_REG_COMPUTE_WAIT_TOKEN_LOW 0x130
/* cycles in which the compute unit waited for a dependency token */
#define WEFT_REG_COMPUTE_WAIT_TOKEN_HIGH 0x134
/* cycles in which the array waited for the weight buffer */
#define WEFT_REG_COMPUTE_WAIT_WEIGHTS_LOW 0x138
/* cycles in which the array waited for the weight buffer */
#define WEFT_REG_COMPUTE_WAIT_WEIGHTS_HIGH 0x13c
/* cycles in which the vector unit had an instruction in work */
#define WEFT_REG_VECTOR_BUSY_LOW 0x140
/* cycles in which the vector unit had an instruction in work */
#define WEFT_REG_VECTOR_BUSY_HIGH 0x144
/* cycles in which the vector unit waited for a dependency token */
#define WEFT_REG_VECTOR_WAIT_TOKEN_LOW 0x148
/* cycles in which the vector unit waited for a dependency token */
#define WEFT_REG_VECTOR_WAIT_TOKEN_HIGH 0x14c
/* cycles in which the weight stream waited for room in the weight buffer */
#define WEFT_REG_STREAM_WAIT_SPACE_LOW 0x150
/* cycles in which the weight stream waited for room in the weight buffer */
#define WEFT_REG_STREAM_WAIT_SPACE_HIGH 0x154
/* cycles in which the weight stream waited for a dependency token */
#define WEFT_REG_STREAM_WAIT_TOKEN_LOW 0x158
/* cycles in which the weight stream waited for a dependency token */
#define WEFT_REG_STREAM_WAIT_TOKEN_HIGH 0x15c
#define WEFT_REG_STREAM_BYTES_LOW 0x160 /* bytes that the weight stream received */
#define WEFT_REG_STREAM_BYTES_HIGH 0x164 /* bytes that the weight stream received */
#define WEFT_REG_LOAD_BUSY_LOW 0x168 /* cycles in which the load unit had an instruction in work */
#define WEFT_REG_LOAD_BUSY_HIGH 0x16c /* cycles in which the load unit had an instruction in work */
/* cycles in which the store unit had an instruction in work */
#define WEFT_REG_STORE_BUSY_LOW 0x170
/* cycles in which the store unit had an instruction in work */
#define WEFT_REG_STORE_BUSY_HIGH 0x174
#define WEFT_REG_READ_IDLE_LOW 0x178 /* cycles of a run in which no read was outstanding */
#define WEFT_REG_READ_IDLE_HIGH 0x17c /* cycles of a run in which no read was outstanding */

/* The link between host and board: sizes and byte offsets */
#define WEFT_LINK_VERSION 1 /* Version of the link's protocol */
/* Most requests that may be unanswered, and answers that the board remembers */
#define WEFT_LINK_WINDOW 16
#define WEFT_LINK_PAYLOAD_BYTES 1024 /* Most bytes of memory in one request or answer */
#define WEFT_LINK_REQUEST_BYTES 12 /* Bytes of a request without payload and CRC */
#define WEFT_LINK_ANSWER_BYTES 8 /* Bytes of an answer without payload and CRC */
#define WEFT_LINK_REQUEST_SEQUENCE_OFFSET 0 /* number of the request, modulo 256 */
#define WEFT_LINK_REQUEST_TAG_OFFSET 1 /* the attempt, returned in the answer */
#define WEFT_LINK_REQUEST_OPCODE_OFFSET 2 /* what is asked for */
#define WEFT_LINK_REQUEST_RESERVED_OFFSET 3 /* zero */
/* byte address in memory, offset of a register, or name of the session */
#define WEFT_LINK_REQUEST_ADDRESS_OFFSET 4
#define WEFT_LINK_REQUEST_VALUE_OFFSET 8 /* bytes, register value or cycles */
#define WEFT_LINK_ANSWER_HEAD_SEQUENCE_OFFSET 0 /* number of the request that is answered */
#define WEFT_LINK_ANSWER_HEAD_TAG_OFFSET 1 /* its tag */
#define WEFT_LINK_ANSWER_HEAD_OPCODE_OFFSET 2 /* its opcode */
/* register value, CRC-32, level of the interrupt, expected number, or 0 */
#define WEFT_LINK_ANSWER_TAIL_VALUE_OFFSET 0
#define WEFT_LINK_ANSWER_TAIL_STATUS_OFFSET 4 /* how it went */
#define WEFT_LINK_IDENTITY_VERSION_OFFSET 0 /* version of the link's protocol */
/* most bytes of memory in one request or answer */
#define WEFT_LINK_IDENTITY_PAYLOAD_BYTES_OFFSET 2
/* size of the receive buffer: requests with payload and CRC */
#define WEFT_LINK_IDENTITY_BUFFER_BYTES_OFFSET 4
#define WEFT_LINK_IDENTITY_WINDOW_OFFSET 6 /* answers that are remembered */
#define WEFT_LINK_IDENTITY_FINGERPRINT_OFFSET 8 /* fingerprint of the accelerator's configuration */
#define WEFT_LINK_IDENTITY_MEMORY_BASE_OFFSET 16 /* address of the first byte of memory */
#define WEFT_LINK_IDENTITY_MEMORY_BYTES_OFFSET 20 /* bytes of memory */
#define WEFT_LINK_IDENTITY_CLOCK_HZ_OFFSET 24 /* the clock whose cycles WAIT_INTERRUPT counts */
#define WEFT_LINK_IDENTITY_SESSION_OFFSET 28 /* name of the session, from HELLO */

/* The board's CPU: memory map, and byte offsets of its registers */
#define WEFT_SOC_ID_VALUE 0x57454654u
#define WEFT_SOC_VERSION_VALUE 0x00010000u
/* Where the SoC registers begin among the link's register offsets */
#define WEFT_SOC_LINK_BASE 0x10000
#define WEFT_BOOT_STAGE_MASK 255 /* Bits of BOOT_STATUS that hold the `BootStage` */
/* First of the 8 bits of BOOT_STATUS with details: after TRAP its cause (mcause, with bit 31 in bit
 * 7), where 0x8B is a load or store that a bus refused; 1 while READY says that MAILBOX does not
 * lead to rings; else 0 */
#define WEFT_BOOT_DETAIL_SHIFT 8
/* First of the 8 bits of BOOT_STATUS with the version of the jobs that the firmware takes */
#define WEFT_BOOT_JOBS_SHIFT 16
/* Bit of BOOT_STATUS that the watchdog sets when it resets the CPU; it stays until written */
#define WEFT_BOOT_WATCHDOG_EXPIRED 0x80000000u
#define WEFT_ROM_BASE 0x00000000u /* firmware, its constants too; reset begins at 0 */
#define WEFT_ROM_BYTES 0x6000u
#define WEFT_RAM_BASE 0x10000000u /* the firmware's data and stack */
#define WEFT_RAM_BYTES 0x2000u
#define WEFT_DRAM_BASE 0x40000000u /* the accelerator's memory; its byte address 0 is at the base */
#define WEFT_DRAM_BYTES 0x40000000u
#define WEFT_ACCELERATOR_BASE 0xf0000000u /* see the accelerator's registers */
#define WEFT_ACCELERATOR_BYTES 0x400u
#define WEFT_SOC_BASE 0xf0010000u /* the registers below */
#define WEFT_SOC_BYTES 0x100u
#define WEFT_SOC_REG_ID 0x00 /* 0x57454654, 'WEFT' */
#define WEFT_SOC_REG_VERSION 0x04 /* contract version, major in the upper half */
/* 1 after a write of anything but 0: the host has work; the CPU writes 0 */
#define WEFT_SOC_REG_DOORBELL 0x08
/* bit 0: the interrupt towards the host; the CPU writes 1, who has seen it writes 0 */
#define WEFT_SOC_REG_NOTIFY 0x0c
#define WEFT_SOC_REG_LEDS 0x10 /* bits 0-7: the board's LEDs */
#define WEFT_SOC_REG_CYCLES_LOW 0x14 /* cycles since reset, bits 0-31; latches CYCLES_HIGH */
#define WEFT_SOC_REG_CYCLES_HIGH 0x18 /* cycles since reset, bits 32-63 */
/* cycles until the CPU is reset, counts down; 0 is off. It resets the CPU once, then is off, and
 * sets bit 31 of BOOT_STATUS */
#define WEFT_SOC_REG_WATCHDOG 0x1c
/* BootStage in bits 0-7, detail in 8-15, version of the jobs in 16-23, bit 31: the watchdog has
 * reset the CPU. Kept over the CPU's reset */
#define WEFT_SOC_REG_BOOT_STATUS 0x20
#define WEFT_SOC_REG_CPU_CONTROL 0x24 /* see CpuControl */
#define WEFT_SOC_REG_BUTTONS 0x28 /* the board's buttons, 1 is pressed */
#define WEFT_SOC_REG_INTERRUPTS 0x2c /* see SocInterrupt */
/* byte address in the DRAM of the rings of jobs and tokens; 0 is none. Reset to 0 with the board,
 * not with the CPU */
#define WEFT_SOC_REG_MAILBOX 0x30

/* Number formats */
#define WEFT_BLOCK 32 /* values per block */
#define WEFT_KEY_BITS 8
#define WEFT_VALUE_BITS 8
#define WEFT_MIN_EXPONENT (-128)
#define WEFT_KEY_MIN_EXPONENT (-14)
#define WEFT_SCORE_FRACTION_BITS 12

/* Preset tiny */
#define WEFT_TINY_FINGERPRINT 0x0d660ecb3432e4ddull
#define WEFT_TINY_ARRAY_COLS 4
#define WEFT_TINY_BEAT_BYTES 8
#define WEFT_TINY_ACTIVATION_BITS 10
#define WEFT_TINY_VECTOR_MEMORY_WORDS 4096
#define WEFT_TINY_ACTIVATION_BLOCKS 512
#define WEFT_TINY_WEIGHT_BUFFER_BYTES 2048
#define WEFT_TINY_ACCUMULATOR_WORDS 256
#define WEFT_TINY_MAX_ROWS 16
#define WEFT_TINY_RESIDENT_BYTES 0
#define WEFT_TINY_INSTRUCTION_WORDS 512
#define WEFT_TINY_TOP_K_ENTRIES 8
#define WEFT_TINY_MAX_BURST_BEATS 16
#define WEFT_TINY_MEMORY_LATENCY_CYCLES 40
#define WEFT_TINY_MEMORY_BYTES_PER_CYCLE 8
#define WEFT_TINY_CLOCK_HZ 80000000
#define WEFT_TINY_TILE_BYTES_W8 136
#define WEFT_TINY_TILE_BYTES_W4 72
#define WEFT_TINY_KV1_KEY_BYTES 1120 /* slots of 32 channels */
#define WEFT_TINY_KV1_BLOCK_BYTES 2144
#define WEFT_TINY_KV2_KEY_BYTES 2208 /* slots of 64 channels */
#define WEFT_TINY_KV2_BLOCK_BYTES 4256
#define WEFT_TINY_KV3_KEY_BYTES 3296 /* slots of 96 channels */
#define WEFT_TINY_KV3_BLOCK_BYTES 6368
#define WEFT_TINY_KV4_KEY_BYTES 4384 /* slots of 128 channels */
#define WEFT_TINY_KV4_BLOCK_BYTES 8480

/* Preset default */
#define WEFT_DEFAULT_FINGERPRINT 0xbd2b64d48c4dcf78ull
#define WEFT_DEFAULT_ARRAY_COLS 8
#define WEFT_DEFAULT_BEAT_BYTES 8
#define WEFT_DEFAULT_ACTIVATION_BITS 10
#define WEFT_DEFAULT_VECTOR_MEMORY_WORDS 4096
#define WEFT_DEFAULT_ACTIVATION_BLOCKS 2048
#define WEFT_DEFAULT_WEIGHT_BUFFER_BYTES 16384
#define WEFT_DEFAULT_ACCUMULATOR_WORDS 1024
#define WEFT_DEFAULT_MAX_ROWS 64
#define WEFT_DEFAULT_RESIDENT_BYTES 0
#define WEFT_DEFAULT_INSTRUCTION_WORDS 512
#define WEFT_DEFAULT_TOP_K_ENTRIES 8
#define WEFT_DEFAULT_MAX_BURST_BEATS 32
#define WEFT_DEFAULT_MEMORY_LATENCY_CYCLES 40
#define WEFT_DEFAULT_MEMORY_BYTES_PER_CYCLE 8
#define WEFT_DEFAULT_CLOCK_HZ 80000000
#define WEFT_DEFAULT_TILE_BYTES_W8 272
#define WEFT_DEFAULT_TILE_BYTES_W4 144
#define WEFT_DEFAULT_KV1_KEY_BYTES 1120 /* slots of 32 channels */
#define WEFT_DEFAULT_KV1_BLOCK_BYTES 2144
#define WEFT_DEFAULT_KV2_KEY_BYTES 2208 /* slots of 64 channels */
#define WEFT_DEFAULT_KV2_BLOCK_BYTES 4256
#define WEFT_DEFAULT_KV3_KEY_BYTES 3296 /* slots of 96 channels */
#define WEFT_DEFAULT_KV3_BLOCK_BYTES 6368
#define WEFT_DEFAULT_KV4_KEY_BYTES 4384 /* slots of 128 channels */
#define WEFT_DEFAULT_KV4_BLOCK_BYTES 8480

/* Preset wide */
#define WEFT_WIDE_FINGERPRINT 0x590436e58a5289e9ull
#define WEFT_WIDE_ARRAY_COLS 8
#define WEFT_WIDE_BEAT_BYTES 16
#define WEFT_WIDE_ACTIVATION_BITS 10
#define WEFT_WIDE_VECTOR_MEMORY_WORDS 4096
#define WEFT_WIDE_ACTIVATION_BLOCKS 2048
#define WEFT_WIDE_WEIGHT_BUFFER_BYTES 16384
#define WEFT_WIDE_ACCUMULATOR_WORDS 1024
#define WEFT_WIDE_MAX_ROWS 64
#define WEFT_WIDE_RESIDENT_BYTES 0
#define WEFT_WIDE_INSTRUCTION_WORDS 512
#define WEFT_WIDE_TOP_K_ENTRIES 8
#define WEFT_WIDE_MAX_BURST_BEATS 32
#define WEFT_WIDE_MEMORY_LATENCY_CYCLES 20
#define WEFT_WIDE_MEMORY_BYTES_PER_CYCLE 16
#define WEFT_WIDE_CLOCK_HZ 80000000
#define WEFT_WIDE_TILE_BYTES_W8 272
#define WEFT_WIDE_TILE_BYTES_W4 144
#define WEFT_WIDE_KV1_KEY_BYTES 1120 /* slots of 32 channels */
#define WEFT_WIDE_KV1_BLOCK_BYTES 2144
#define WEFT_WIDE_KV2_KEY_BYTES 2208 /* slots of 64 channels */
#define WEFT_WIDE_KV2_BLOCK_BYTES 4256
#define WEFT_WIDE_KV3_KEY_BYTES 3296 /* slots of 96 channels */
#define WEFT_WIDE_KV3_BLOCK_BYTES 6368
#define WEFT_WIDE_KV4_KEY_BYTES 4384 /* slots of 128 channels */
#define WEFT_WIDE_KV4_BLOCK_BYTES 8480

/* Preset resident */
#define WEFT_RESIDENT_FINGERPRINT 0xff234c4b411a13f9ull
#define WEFT_RESIDENT_ARRAY_COLS 8
#define WEFT_RESIDENT_BEAT_BYTES 16
#define WEFT_RESIDENT_ACTIVATION_BITS 10
#define WEFT_RESIDENT_VECTOR_MEMORY_WORDS 4096
#define WEFT_RESIDENT_ACTIVATION_BLOCKS 2048
#define WEFT_RESIDENT_WEIGHT_BUFFER_BYTES 16384
#define WEFT_RESIDENT_ACCUMULATOR_WORDS 1024
#define WEFT_RESIDENT_MAX_ROWS 64
#define WEFT_RESIDENT_RESIDENT_BYTES 327680
#define WEFT_RESIDENT_INSTRUCTION_WORDS 512
#define WEFT_RESIDENT_TOP_K_ENTRIES 8
#define WEFT_RESIDENT_MAX_BURST_BEATS 32
#define WEFT_RESIDENT_MEMORY_LATENCY_CYCLES 20
#define WEFT_RESIDENT_MEMORY_BYTES_PER_CYCLE 16
#define WEFT_RESIDENT_CLOCK_HZ 80000000
#define WEFT_RESIDENT_TILE_BYTES_W8 272
#define WEFT_RESIDENT_TILE_BYTES_W4 144
#define WEFT_RESIDENT_KV1_KEY_BYTES 1120 /* slots of 32 channels */
#define WEFT_RESIDENT_KV1_BLOCK_BYTES 2144
#define WEFT_RESIDENT_KV2_KEY_BYTES 2208 /* slots of 64 channels */
#define WEFT_RESIDENT_KV2_BLOCK_BYTES 4256
#define WEFT_RESIDENT_KV3_KEY_BYTES 3296 /* slots of 96 channels */
#define WEFT_RESIDENT_KV3_BLOCK_BYTES 6368
#define WEFT_RESIDENT_KV4_KEY_BYTES 4384 /* slots of 128 channels */
#define WEFT_RESIDENT_KV4_BLOCK_BYTES 8480

/* An instruction under construction; start from all zeros. */
typedef struct {
    uint32_t word[WEFT_INSTRUCTION_BYTES / 4];
} weft_instruction;

/* Set bits offset to offset + width - 1; they must be 0 before. */
static inline void weft_set_field(weft_instruction *instruction, unsigned offset, unsigned width,
                                  uint64_t value)
{
    for (unsigned bit = 0; bit < width; bit++)
        instruction->word[(offset + bit) / 32] |= (uint32_t)(value >> bit & 1)
                                                  << (offset + bit) % 32;
}

/* WEFT_SET(&i, WEFT_MATMUL_K_BLOCKS, 4) sets a field by its name. */
#define WEFT_SET(instruction, field, value) \
    weft_set_field((instruction), field##_OFFSET, field##_WIDTH, (value))

#endif
