# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from weft.errors import EvaluationError
from weft.evaluate import (
    compare,
    compare_on,
    kl_divergence,
    perplexity,
    same_top1,
    token_losses,
)

JUDGE = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
OTHER = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.2, 0.7]])) + 3.0


def test_divergence_is_that_of_the_definition():
    expected = 0.5 * math.log(2) - 0.25 * math.log(2)
    np.testing.assert_allclose(kl_divergence(JUDGE, OTHER), [expected, 0.0], atol=1e-15)
    assert (kl_divergence(JUDGE, OTHER) >= 0).all()


def test_divergence_is_exact_for_extreme_logits():
    judge = np.array([[1e4, 0.0, -1e4]], np.float32)
    np.testing.assert_array_equal(kl_divergence(judge, judge), [0.0])
    assert kl_divergence(judge, judge[:, ::-1])[0] == pytest.approx(2e4)


def test_top1_agrees_by_the_lowest_id_of_equals():
    assert same_top1(JUDGE, OTHER).tolist() == [False, True]
    flat = np.zeros((1, 3))
    assert same_top1(flat, np.array([[1.0, 1.0, 0.0]])).tolist() == [True]
    assert same_top1(flat, np.array([[0.0, 1.0, 0.0]])).tolist() == [False]


def test_losses_and_perplexity():
    losses = token_losses(JUDGE, [0, 2])
    np.testing.assert_allclose(losses, [-math.log(0.5), -math.log(0.7)])
    assert perplexity(losses) == pytest.approx((0.5 * 0.7) ** -0.5)
    assert perplexity(token_losses(np.zeros((4, 32)), [0, 31, 7, 7])) == pytest.approx(32)
    assert perplexity(np.array([1e9])) == math.inf


def test_comparison_goes_over_all_positions_of_all_texts():
    result = compare([([2, 0], JUDGE, OTHER), ([1, 2], JUDGE, JUDGE)])
    assert result.positions == 4
    assert result.top1_agreement == 0.75
    assert result.mean_kl == pytest.approx(0.25 * math.log(2) / 4)
    assert result.p999_kl == pytest.approx(0.25 * math.log(2) * 0.997)
    assert result.max_kl == pytest.approx(0.25 * math.log(2))
    assert result.judge_perplexity == pytest.approx((0.5 * 0.25) ** -0.5)
    assert result.perplexity == pytest.approx((0.25 * 0.25) ** -0.5)


def test_devices_are_run_on_the_same_tokens():
    seen: list[list[int]] = []

    def device(token_ids: Sequence[int]) -> npt.NDArray[np.float64]:
        seen.append(list(token_ids))
        return np.eye(5)[list(token_ids)]

    result = compare_on(device, device, [[1, 2, 3], [4, 4]])
    assert (result.mean_kl, result.top1_agreement, result.positions) == (0.0, 1.0, 5)
    assert seen == [[1, 2, 3], [1, 2, 3], [4, 4], [4, 4]]


@pytest.mark.parametrize(
    ("judge", "logits", "sentence"),
    [
        (JUDGE, JUDGE[:1], r"the judge's logits are \[2, 3\], but the device's \[1, 3\]"),
        (JUDGE[0], JUDGE, r"the judge's logits are \[3\], but must be \[positions, vocab_size\]"),
        (JUDGE, JUDGE * np.nan, "logits are not all finite at position 0"),
        (JUDGE, np.array([[0, 0, 0], [0, np.inf, 0]]), "not all finite at position 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    judge: npt.NDArray[np.float64], logits: npt.NDArray[np.float64], sentence: str
):
    with pytest.raises(EvaluationError, match=sentence):
        kl_divergence(judge, logits)


def test_unfit_targets_and_empty_sets_are_refused():
    with pytest.raises(EvaluationError, match="3 tokens to foresee, but logits for 2"):
        token_losses(JUDGE, [0, 1, 2])
    for target in (3, -1):
        with pytest.raises(EvaluationError, match="is not between 0 and 2"):
            token_losses(JUDGE, [0, target])
    with pytest.raises(EvaluationError, match="no texts to compare on"):
        compare([])
    with pytest.raises(EvaluationError, match="no tokens to compute a perplexity of"):
        perplexity(np.zeros(0))
