# SPDX-License-Identifier: Apache-2.0
"""What adapters cost well-known shapes."""

import pytest

from weft.errors import CompileError, WeftError
from weft.forecast import forecast_model
from weft.model.shapes import ENCODER_SHAPES, KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft_arch.config import preset

SHAPE = KNOWN_SHAPES["smollm2-135m"]
QV = {"wq": 16, "wv": 16}


@pytest.mark.parametrize("weights", ["w8", "w4"])
def test_rank_16_costs_a_decode_step_at_most_a_twentieth(weights: str) -> None:
    form, config = WeightFormat(weights), preset("default")
    plain = forecast_model(SHAPE, config, form, prompt=1)
    adapted = forecast_model(SHAPE, config, form, prompt=1, ranks=QV)
    assert plain.decode.cycles < adapted.decode.cycles <= 1.05 * plain.decode.cycles
    more = adapted.decode.bytes_by_kind["weights"] - plain.decode.bytes_by_kind["weights"]
    assert more == adapted.adapter_bytes
    # A of both: 2 tiles of 8 of the 16 rows; B: all rows; blocks of 32 along K; a tile, 272 bytes.
    tiles = 2 * 2 * 576 // 32 + (576 + 192) // 8
    assert adapted.adapter_bytes == SHAPE.n_layers * tiles * 272
    assert plain.adapter_bytes == 0


def test_what_has_no_side_path_gets_a_sentence() -> None:
    encoder = ENCODER_SHAPES["minilm-l6"]
    with pytest.raises(WeftError, match=r"^this bert model is an encoder; the device takes adapt"):
        forecast_model(encoder, preset("default"), WeightFormat.W8, ranks=QV)
    with pytest.raises(CompileError, match=r"^w_in is no matrix of this llama model's layers\.$"):
        forecast_model(SHAPE, preset("default"), WeightFormat.W8, ranks={"w_in": 4})
