# SPDX-License-Identifier: Apache-2.0
"""The installed `weft` command, as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("weft")
pytestmark = pytest.mark.skipif(not COMMAND.is_file(), reason="needs the installed weft command")


def weft(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=120)


def test_a_story_and_a_refusal(make_folder: Callable[..., Path]) -> None:
    model = make_folder()
    story = weft("generate", "Tom ran", "-m", model, "-d", "reference", "-n", "5")
    assert (story.returncode, story.stdout[:7]) == (0, "Tom ran")
    refusal = weft("generate", "Tom ran", "-m", model, "-d", "reference", "-n", "0")
    assert refusal.returncode == 2
    assert (refusal.stdout, refusal.stderr) == (
        "",
        "error: max_tokens is 0, but must be at least 1.\n",
    )


def test_an_interrupt_ends_it_quietly(make_folder: Callable[..., Path]) -> None:
    model = make_folder({"max_position_embeddings": 4096, "eos_token_id": None})  # it never ends
    options = ["-d", "reference", "-n", "4000", "--temperature", "1", "--seed", "1"]
    with subprocess.Popen(
        [COMMAND, "generate", "Tom", "-m", model, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells start background jobs with interrupts ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        process.stdout.read(8)  # it is at work
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped"


def test_a_reader_that_has_enough(make_folder: Callable[..., Path]) -> None:
    model = make_folder()
    with subprocess.Popen(
        [COMMAND, "generate", "Tom", "-m", model, "-d", "reference", "-n", "40"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert "Traceback" not in errors
    assert "Exception" not in errors
