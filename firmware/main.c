/* SPDX-License-Identifier: Apache-2.0 */
/* Where start.S goes; the firmware is the only program of the CPU. */
#include "firmware.h"

static struct firmware firmware;

int main(void)
{
    firmware_start(&firmware);
    for (;;)
        firmware_step(&firmware);
}
