# SPDX-License-Identifier: Apache-2.0
"""Requests to a board over a line that may fail: window, repeats, time limits.

Several requests are under way at once; their answers come back in order. What is lost is noticed by
an answer that is missing before another one, by an OUT_OF_ORDER, or by silence, and is sent again.
The board executes nothing twice (see `weft_arch.link`), so sending again is always safe.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from weft.link.flight import HAS_EFFECT, SLOW, Ask, Flight, error_of
from weft.link.line import Line, LinkError
from weft_arch.link import (
    REQUEST_BYTES,
    VERSION,
    WINDOW,
    Answer,
    Identity,
    LinkFormatError,
    LinkOpcode,
    LinkStatus,
    Request,
)
from weft_arch.link_framing import CRC_BYTES, DELIMITER, Deframer, frame

__all__ = ["LinkSession", "LinkStatistics"]

_SILENCES = 8
"""Attempts in a row without any answer after which a board counts as dead."""
_REPEATS = 200
"""Attempts in a row that bring the oldest request no further, after which a line is too bad."""
_CHECK_CYCLES_PER_BYTE = 8
"""What CHECK_MEMORY may take, with a memory that others use, too."""
_DEFAULT_CLOCK_HZ = 10_000_000


@dataclass(kw_only=True)
class LinkStatistics:
    """What happened on the line.

    Members:
        requests: sent for the first time.
        repeats: sent again.
        silences: times that an answer did not come in time.
        damaged: pieces received that were no frame.
    """

    requests: int = 0
    repeats: int = 0
    silences: int = 0
    damaged: int = 0


class LinkSession:
    """One session with a board.

    Args:
        line: the line; the session owns it and closes it.

    Members:
        identity: what the board says about itself; `hello` asks for it.
        statistics: what happened on the line.
    """

    identity: Identity

    def __init__(self, line: Line) -> None:
        self.line = line
        self.statistics = LinkStatistics()
        self._deframer = Deframer()
        self._flights: dict[int, Flight] = {}
        self._next = 0
        self._tag = 0
        self._order = 0
        self._clock_hz = _DEFAULT_CLOCK_HZ
        self._buffer_bytes = 1 << 16
        self._deadline = self._heard = line.now
        self._silences = self._repeats = 0
        self._posted_error: LinkError | None = None
        self._lost: LinkError | None = None

    def hello(self) -> Identity:
        """Open the session; a `LinkError` if nothing answers or speaks another version."""
        self._send(DELIMITER)
        (answer,) = self.exchange([Ask(opcode=LinkOpcode.HELLO, address=self.line.session)])
        self.identity = identity = Identity.unpack(answer.payload)
        if identity.version != VERSION:
            raise LinkError(
                f"The board at {self.line.name} speaks version {identity.version} of the link's "
                f"protocol; this host speaks version {VERSION}."
            )
        self._clock_hz = max(identity.clock_hz, 1)
        self._buffer_bytes = identity.buffer_bytes
        return identity

    def post(self, ask: Ask) -> None:
        """Send a request whose answer says no more than that it was done. Returns at once unless
        the window is full; an error is raised by the next `flush` or `exchange`."""
        self._start(ask, wanted=False)

    def flush(self) -> None:
        """Wait until everything sent is answered; the first error of what was posted is raised."""
        while self._flights:
            self._pump()
        self._raise_posted()

    def exchange(self, asks: Iterable[Ask]) -> Iterator[Answer]:
        """Send requests, several at once, and give their answers in order, all of them OKAY."""
        waiting: list[Flight] = []
        for ask in asks:
            waiting.append(self._start(ask, wanted=True))
            while waiting and waiting[0].answer is not None:
                yield self._result(waiting.pop(0))
        for flight in waiting:
            while flight.answer is None:
                self._pump()
            yield self._result(flight)
        self._raise_posted()

    def call(self, *asks: Ask) -> list[int]:
        """Send requests and wait for their answers' values."""
        return [answer.value for answer in self.exchange(asks)]

    def close(self) -> None:
        """Wait for what was posted unless the board is gone, and release the line."""
        try:
            if self._lost is None:
                self.flush()
        finally:
            self.line.close()

    def _start(self, ask: Ask, *, wanted: bool) -> Flight:
        """Send a request for the first time, once there is room for it."""
        while not self._has_room(ask):
            self._pump()
        request = Request(
            sequence=self._next,
            opcode=ask.opcode,
            tag=self._tag,
            address=ask.address,
            value=ask.value,
            payload=ask.payload,
        )
        flight = self._flights[self._next] = Flight(request, wanted=wanted, order=self._order)
        self._order += 1
        self._next = (self._next + 1) % 256
        self.statistics.requests += 1
        self._send(frame(request.pack()))
        return flight

    def _has_room(self, ask: Ask) -> bool:
        if not self._flights:
            return True
        oldest = next(iter(self._flights))
        if (self._next - oldest) % 256 >= WINDOW:
            return False
        open_requests = [f.request for f in self._flights.values() if f.answer is None]
        if ask.opcode in HAS_EFFECT and any(
            r.opcode == LinkOpcode.READ_MEMORY for r in open_requests
        ):
            return False
        if any(r.opcode in SLOW for r in open_requests):
            size = sum(_buffered(r.payload) for r in open_requests) + _buffered(ask.payload)
            return size <= self._buffer_bytes
        return True

    def _send(self, data: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        try:
            self.line.send(data)
        except LinkError as error:
            self._lost = error
            raise
        self._set_deadline()

    def _set_deadline(self) -> None:
        """Until when something must have been answered."""
        line, size, cycles = self.line, 0, 0
        for flight in self._flights.values():
            request = flight.request
            if flight.answer is not None:
                continue
            size += 2 * _buffered(request.payload)
            if request.opcode == LinkOpcode.READ_MEMORY:
                size += request.value
            elif request.opcode == LinkOpcode.WAIT_INTERRUPT:
                cycles += request.value
            elif request.opcode == LinkOpcode.CHECK_MEMORY:
                cycles += _CHECK_CYCLES_PER_BYTE * request.value
        seconds = line.latency_seconds + 1.5 * size / line.bytes_per_second
        self._deadline = line.now + seconds + cycles / self._clock_hz

    def _pump(self) -> None:
        """Wait for something to come, and see to it; or send again what is overdue."""
        if self._lost is not None:
            raise self._lost
        try:
            data = self.line.receive(max(self._deadline - self.line.now, 0.0))
        except LinkError as error:
            self._lost = error
            raise
        for content in self._deframer.feed(data):
            try:
                answer = Answer.unpack(content)
            except LinkFormatError:
                continue  # an echo of a request, perhaps
            self._take(answer)
        self.statistics.damaged = self._deframer.damaged
        while self._flights and next(iter(self._flights.values())).answer is not None:
            del self._flights[next(iter(self._flights))]
        if self._flights and self.line.now >= self._deadline:
            self._silent()

    def _take(self, answer: Answer) -> None:
        flight = self._flights.get(answer.sequence)
        if flight is None or flight.answer is not None or not self._belongs(answer, flight.request):
            return  # a repeat of what is known already, or of an earlier session
        current = answer.tag == flight.request.tag
        self._heard, self._silences = self.line.now, 0
        if answer.status == LinkStatus.NO_SESSION:
            if current:
                raise self._give_up(
                    f"The board at {self.line.name} was restarted in the middle of its work; what "
                    "was in its memory must be loaded again."
                )
        elif answer.status == LinkStatus.OUT_OF_ORDER:
            if current:
                self._repeat([f for f in self._flights.values() if f.answer is None])
        else:
            flight.answer = answer
            if not flight.wanted and self._posted_error is None:
                self._posted_error = error_of(flight, self.line.name)
            self._repeats = 0
            self._set_deadline()
            # Answers come in the order of what was sent, so one that is missing was lost.
            missing = [
                f for f in self._flights.values() if f.answer is None and f.order < flight.order
            ]
            if current and missing:
                self._repeat(missing)

    def _belongs(self, answer: Answer, request: Request) -> bool:
        if answer.opcode != request.opcode:
            return False
        if answer.status != LinkStatus.OKAY:
            return True
        if answer.opcode == LinkOpcode.READ_MEMORY:
            return len(answer.payload) == request.value
        if answer.opcode != LinkOpcode.HELLO:
            return not answer.payload
        try:
            return Identity.unpack(answer.payload).session == request.address
        except LinkFormatError:
            return True  # a version that is not known; `hello` says so

    def _repeat(self, flights: list[Flight]) -> None:
        """Send requests again, as another attempt."""
        self._repeats += 1
        if self._repeats > _REPEATS:
            raise self._give_up(
                f"The line to {self.line.name} is too bad: {self._repeats} attempts brought a "
                f"request no further, and {self._deframer.damaged} answers were damaged."
            )
        self._tag = (self._tag + 1) % 256
        parts = [DELIMITER]  # garbage before it is a frame of its own
        for flight in flights:
            flight.request = replace(flight.request, tag=self._tag)
            flight.order = self._order
            self._order += 1
            parts.append(frame(flight.request.pack()))
        self.statistics.repeats += len(flights)
        self._send(b"".join(parts))

    def _silent(self) -> None:
        self._silences += 1
        self.statistics.silences += 1
        if self._silences > _SILENCES:
            seconds = self.line.now - self._heard
            damaged = self._deframer.damaged
            advice = (
                f"{damaged} pieces of what came were no answers: is it the right baud rate?"
                if damaged
                else "is it switched on, and its bitstream loaded?"
            )
            raise self._give_up(
                f"The board at {self.line.name} has not answered for {seconds:.1f} s; {advice}"
            )
        self._repeat([f for f in self._flights.values() if f.answer is None])

    def _give_up(self, sentence: str) -> LinkError:
        self._lost = LinkError(sentence)
        return self._lost

    def _result(self, flight: Flight) -> Answer:
        error = error_of(flight, self.line.name)
        if error is not None:
            raise error
        assert flight.answer is not None
        return flight.answer

    def _raise_posted(self) -> None:
        error, self._posted_error = self._posted_error, None
        if error is not None:
            raise error


def _buffered(payload: bytes) -> int:
    """Bytes that a request takes in the board's receive buffer."""
    return REQUEST_BYTES + len(payload) + CRC_BYTES
