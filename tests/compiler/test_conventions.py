# SPDX-License-Identifier: Apache-2.0
"""What hosts and programs agree on: chunks of a prompt, registers of a batch."""

from hypothesis import given
from hypothesis import strategies as st

from weft.compiler.conventions import (
    BATCH_REGISTER,
    MOST_BATCH_ROWS,
    Register,
    batch_scalars,
    even_chunks,
)


@given(st.integers(0, 500), st.integers(1, 64))
def test_chunks_are_few_and_alike(count: int, most: int) -> None:
    chunks = even_chunks(count, most)
    assert [k for start, end in chunks for k in range(start, end)] == list(range(count))
    assert len(chunks) == -(-count // most)
    sizes = {end - start for start, end in chunks} or {0}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_register_holds_a_flag_a_sequence_and_a_position() -> None:
    scalars = batch_scalars([(3, 5), (32767, 65535)])
    assert scalars[Register.ROWS] == 2
    assert scalars[BATCH_REGISTER] == 0x8003_0005
    assert scalars[BATCH_REGISTER + 1] == 0xFFFF_FFFF
    rest = [scalars[BATCH_REGISTER + k] for k in range(2, MOST_BATCH_ROWS)]
    assert rest == [0] * (MOST_BATCH_ROWS - 2)
