# SPDX-License-Identifier: Apache-2.0
"""Devices by address: sockets, pseudo-terminals, recordings; the same tokens as without a line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.link.loop_line import LoopLine
from weft.compiler import compile_model
from weft.devices import open_device
from weft.errors import WeftError
from weft.link import LinkDevice, LinkError
from weft.link.far_end import FarEnd
from weft.link.recording import RecordingLine, ReplayLine
from weft.link.server import PtyLine, TcpServer, serve
from weft.llm import LLM
from weft.model import load_model
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_arch.config import preset
from weft_arch.device import Device, DeviceFault, DeviceTimeout
from weft_sim.reference import ReferenceDevice

TINY = preset("tiny")
MEMORY_BYTES = 8 << 20
PROMPT = "Once upon a time"
TOKENS = 8


class Served:
    """A far end that a thread serves until the end of the test."""

    def __init__(self, run: Callable[[], None], stop: threading.Event) -> None:
        self._stop = stop
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def tcp() -> Iterator[str]:
    with ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES) as device:
        server = TcpServer(device)
        served = Served(server.run, server.stop)
        yield f"tcp:127.0.0.1:{server.port}"
        served.end()


@pytest.fixture
def pty() -> Iterator[str]:
    with ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES) as device:
        line, stop = PtyLine(), threading.Event()
        served = Served(lambda: serve(line, FarEnd(device), stop), stop)
        yield f"serial:{line.path}"
        served.end()
        line.close()


def tokens(device: str, params: SamplingParams, **options: Any) -> list[int]:
    with LLM(device=device, preset="tiny", max_model_len=64, device_options=options) as llm:
        return llm.generate(PROMPT, params)[0].outputs[0].token_ids


@pytest.mark.parametrize("where", ["tcp", "pty"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_line_gives_the_tokens_of_the_reference(
    where: str, temperature: float, request: pytest.FixtureRequest
) -> None:
    params = SamplingParams(temperature=temperature, seed=3, max_tokens=TOKENS)
    stages: list[str] = []
    place: str = request.getfixturevalue(where)
    got = tokens(place, params, progress=lambda stage, _: stages.append(stage))
    assert got == tokens("reference", params)
    assert any(stage.startswith("send memory, ") for stage in stages)
    assert tokens(place, params) == got, "a second host, and weights that are there already"


def greedy(device: Device) -> list[int]:
    compiled = compile_model(load_model().checkpoint, TINY, WeightFormat("w8"), max_context=64)
    runner = ModelRunner(compiled, device)
    ids = load_model().tokenizer.encode(PROMPT)
    runner.prefill(ids)
    for position in range(len(ids), len(ids) + TOKENS):
        ids.append(int(runner.top_k().token_ids[0]))
        runner.run_chunk([ids[-1]], position=position)
    return ids


def test_a_recording_of_a_bad_line_replays(tmp_path: Path) -> None:
    path = tmp_path / "run.link"
    device = ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)
    line = LoopLine(device, rate=1 / 4000, seed=4)
    with LinkDevice(TINY, RecordingLine(line, path)) as remote:
        ids = greedy(remote)
        repeats = remote.statistics.repeats
    assert line.total_faults > 100
    assert repeats > 50
    assert ids == greedy(ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES))
    with open_device(f"replay:{path}", TINY, memory_bytes=MEMORY_BYTES) as replayed:
        assert greedy(replayed) == ids
    changed = path.read_text().splitlines()
    sent = next(i for i, text in enumerate(changed) if i > 500 and " > " in text)
    changed[sent] = changed[sent][:-4] + "ff00"
    path.write_text("\n".join(changed))
    sentence = rf"line {sent + 1}: the host sends something else than it did\.$"
    with pytest.raises(LinkError, match=sentence):
        greedy(LinkDevice(TINY, ReplayLine(path)))


def test_a_recording_is_made_by_an_option(tcp: str, tmp_path: Path) -> None:
    path = tmp_path / "run.link"
    with open_device(f"{tcp}?record={path}", TINY, memory_bytes=4096) as device:
        device.write_memory(5, b"weft")
        assert device.read_memory(4, 6).tobytes() == b"\0weft\0"
    with open_device(f"replay:{path}", TINY, memory_bytes=4096) as device:
        device.write_memory(5, b"weft")
        assert device.read_memory(4, 6).tobytes() == b"\0weft\0"


def test_faults_and_hangs_of_a_program_come_over_the_line(tcp: str) -> None:
    from weft.runtime.program import set_program
    from weft_arch import isa
    from weft_arch.encoding import encode_program

    with open_device(tcp, TINY, memory_bytes=4096) as device:
        for program, error, sentence in (
            ([isa.Store(address=64, count=1, words=4)], DeviceFault, "address out of range"),
            (
                [isa.Load(wait_a=3, address=0, count=1, words=4, row_bytes=64), isa.Halt()],
                DeviceTimeout,
                r"stands still; the sequencer is at instruction \d",
            ),
            ([isa.Halt()], None, ""),
        ):
            raw = encode_program([*program, isa.Halt()])
            device.write_memory(0, raw)
            set_program(device, 0, len(raw) // 32, region=(0, 4096), write=(2048, 4096))
            device.start()
            if error is None:
                assert device.wait() == 0
            else:
                with pytest.raises(error, match=sentence):
                    device.wait()
            device.reset()


def test_unplugging_is_a_sentence(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def hang_up() -> None:
        connection, _ = server.accept()
        connection.recv(10)
        connection.close()
        server.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(WeftError, match=rf"^The connection to tcp:127\.0\.0\.1:{port} broke off: "):
        open_device(f"tcp:127.0.0.1:{port}", TINY, memory_bytes=4096)
    thread.join()
    with pytest.raises(WeftError, match=rf"^tcp:127\.0\.0\.1:{port} cannot be reached: Connection"):
        open_device(f"tcp:127.0.0.1:{port}", TINY, memory_bytes=4096)


def test_a_port_that_goes_away_is_a_sentence() -> None:
    line = PtyLine()
    stop = threading.Event()
    device = ReferenceDevice(TINY, memory_bytes=4096)
    served = Served(lambda: serve(line, FarEnd(device), stop), stop)
    remote = open_device(f"serial:{line.path}", TINY, memory_bytes=4096)
    served.end()
    line.close()
    with pytest.raises(LinkError, match=r"^The connection to serial:/dev/pts/\d+ broke off: .*;"):
        remote.read_register(0)
    remote.close()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("serial", r"^The device serial needs an address: serial:PATH\.$"),
        ("serial:/dev/none", r"^serial:/dev/none cannot be opened: there is no such port\.$"),
        ("serial:/dev/none?baud=x", r"^baud is 'x', but must be between 300 and 12000000\.$"),
        ("tcp:localhost", r"^'localhost' is no HOST:PORT with a port from 1 to 65535\.$"),
        ("tcp:localhost:0", r"^'localhost:0' is no HOST:PORT with a port from 1 to 65535\.$"),
        ("replay:/none", r"^/none cannot be read: No such file or directory\.$"),
        ("replay:/dev/null", r"^/dev/null is no recording of a link\.$"),
        ("reference:x", r"^device reference takes no address, but 'reference:x' has one\.$"),
    ],
)
def test_addresses_that_lead_nowhere(name: str, sentence: str) -> None:
    with pytest.raises(WeftError, match=sentence):
        open_device(name, TINY, memory_bytes=4096)


def test_options_that_do_not_exist(tcp: str) -> None:
    with pytest.raises(WeftError, match=r"^The device tcp has no option 'speed'\.$"):
        open_device(f"{tcp}?speed=3", TINY, memory_bytes=4096)
    with pytest.raises(WeftError, match=r"^The device tcp does not know the option trace\.$"):
        open_device(tcp, TINY, memory_bytes=4096, trace="x.fst")
