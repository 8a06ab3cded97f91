/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware.h"

#include "board.h"
#include "hal.h"

static void begin(struct firmware *f)
{
    f->working = true;
    board_tell(WEFT_BOOT_STAGE_WORKING, 0);
    board_light(LED_FAILED, false);
    board_light(LED_JOB, true);
}

static void finish(struct firmware *f)
{
    rings_end(&f->rings);
    f->working = false;
    board_watchdog_off();
    board_light(LED_JOB | LED_PROMPT, false);
    board_light(LED_FAILED, f->generation.reason > WEFT_END_REASON_CANCELLED);
    board_tell(WEFT_BOOT_STAGE_READY, 0);
}

/* The CPU was reset under way: the job ends as its answer says, or as interrupted. */
static void end_interrupted(struct firmware *f)
{
    uint32_t number = f->rings.job_tail;
    uint32_t answer = rings_slot(&f->rings, number) + WEFT_ANSWER_OFFSET;
    uint32_t reason = dram_read(answer + WEFT_ANSWER_REASON_OFFSET);
    begin(f);
    if (reason == WEFT_END_REASON_NONE) {
        generation_abandon(&f->generation, &f->rings, number, WEFT_END_REASON_INTERRUPTED,
                           f->found_status);
        return;
    }
    f->generation = (struct generation){.phase = PHASE_END, .job.number = number, .reason = reason};
    f->generation.n_tokens = dram_read(answer + WEFT_ANSWER_TOKENS_OFFSET);
}

static void attach(struct firmware *f, uint32_t mailbox)
{
    f->mailbox = mailbox;
    bool good = rings_attach(&f->rings, mailbox);
    board_tell(WEFT_BOOT_STAGE_READY, good ? 0 : DETAIL_NO_RINGS);
    if (good && rings_is_working(&f->rings))
        end_interrupted(f);
}

static void look_for_work(struct firmware *f)
{
    uint32_t mailbox = soc_read(WEFT_SOC_REG_MAILBOX);
    if (mailbox != f->mailbox)
        attach(f, mailbox);
    soc_write(WEFT_SOC_REG_DOORBELL, 0); /* before the look: what rings after it, is seen later */
    if (f->working || !f->rings.address || !rings_has_job(&f->rings))
        return;
    uint32_t number = f->rings.job_taken;
    rings_take(&f->rings);
    begin(f);
    board_light(LED_PROMPT, true);
    generation_begin(&f->generation, &f->rings, number);
}

void firmware_start(struct firmware *f)
{
    *f = (struct firmware){.found_status = board_start()};
    if (!accelerator_is_known()) {
        f->dead = true;
        board_light(LED_DEAD, true);
        board_tell(WEFT_BOOT_STAGE_NO_ACCELERATOR, 0);
        return;
    }
    board_is_alive();
    accelerator_reset();
    attach(f, soc_read(WEFT_SOC_REG_MAILBOX));
    if (!f->working) {
        board_watchdog_off();
        look_for_work(f);
    }
}

void firmware_step(struct firmware *f)
{
    if (f->dead)
        return;
    if (f->working) {
        board_is_alive();
        if (generation_step(&f->generation, &f->rings)) {
            finish(f);
            look_for_work(f);
        }
        return;
    }
    board_idle();
    if (soc_read(WEFT_SOC_REG_INTERRUPTS) & WEFT_SOC_INTERRUPT_DOORBELL)
        look_for_work(f);
}
