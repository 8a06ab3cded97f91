# SPDX-License-Identifier: Apache-2.0
"""`weft board sim` in one process and `weft generate` in another, on a pseudo-terminal and TCP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

START = [sys.executable, "-c", "from weft.cli import main; main()"]
BOARD_LIMIT_SECONDS = 1800
"""A board that has to be compiled first, on a machine that is busy."""


def weft(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*START, *arguments], capture_output=True, text=True, timeout=BOARD_LIMIT_SECONDS
    )


@pytest.mark.parametrize("port", [[], ["--tcp", "0"]], ids=["pty", "tcp"])
def test_generate_on_a_board_in_a_box(make_folder: Callable[..., Path], port: list[str]) -> None:
    model = make_folder({"num_hidden_layers": 1})
    common = ["--preset", "tiny", "-m", str(model)]
    with subprocess.Popen(
        [*START, "board", "sim", "ulx3s_85f", *common, *port],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as box:
        assert box.stdout is not None
        address = box.stdout.readline().strip()
        scheme = "tcp:127.0.0.1:" if port else "serial:/dev/"
        assert address.startswith(scheme)
        assert address.endswith("?baud=2400")
        options = [*common, "-n", "3", "--temperature", "0.8", "--seed", "3", "--json"]
        try:
            found = weft("generate", "Tom ran", "-d", address, *options)
        finally:
            box.send_signal(signal.SIGINT)
            _, errors = box.communicate(timeout=60)
    assert box.returncode == 130
    assert errors.splitlines()[-1] == "stopped"
    wanted = weft("generate", "Tom ran", "-d", "reference", *options)
    assert found.returncode == wanted.returncode == 0, found.stderr
    ids = [json.loads(run.stdout)["token_ids"] for run in (found, wanted)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3
