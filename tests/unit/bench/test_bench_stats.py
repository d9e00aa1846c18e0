"""Statistics against answers known beforehand."""

from __future__ import annotations

import pytest

from shortwire.bench.stats import bootstrap, effect, median_of, paired, quantile, slope


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert quantile([1.0, 2.0, 3.0], 0.0) == 1.0
    assert quantile([1.0, 2.0, 3.0], 1.0) == 3.0
    assert quantile([7.0], 0.3) == 7.0
    assert quantile([0.0, 10.0], 0.975) == pytest.approx(9.75)


def test_the_median_leaves_out_what_is_unknown() -> None:
    assert median_of([None, 3.0, 1.0, None, 2.0]) == 2.0
    assert median_of([None]) is None


def test_equal_values_have_no_width() -> None:
    assert bootstrap([5.0] * 8) == (5.0, 5.0)


def test_the_interval_is_the_same_each_time_and_holds_the_median() -> None:
    values = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0, 3.0]
    low, high = bootstrap(values)
    assert (low, high) == bootstrap(values)
    assert min(values) <= low <= 4.0 <= high <= max(values)


def test_more_confidence_is_never_narrower() -> None:
    values = [float(n * n % 17) for n in range(15)]
    narrow, wide = bootstrap(values, confidence=0.5), bootstrap(values, confidence=0.99)
    assert wide[0] <= narrow[0] and narrow[1] <= wide[1] and wide != narrow


def test_the_interval_covers_as_often_as_it_says() -> None:
    import random

    draw = random.Random(4)
    covered = 0
    for _ in range(200):
        low, high = bootstrap([draw.gauss(10, 3) for _ in range(15)], resamples=300)
        covered += low <= 10 <= high
    # 95 % of 200 are 190; a bootstrap of the median of 15 is a little off, a wrong one is far off.
    assert 175 <= covered <= 200


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


def test_pairs_need_both_sides() -> None:
    assert paired([1.0, None, 3.0], [4.0, 5.0, None]) == [(1.0, 4.0)]


def test_a_constant_difference_is_found_through_any_mood_of_the_machine() -> None:
    mood = [10.0, 80.0, 35.0, 60.0, 5.0, 90.0, 20.0]
    found = effect([level + 7.0 for level in mood], mood)
    assert found is not None
    assert (found.pairs, found.difference, found.low, found.high) == (7, 7.0, 7.0, 7.0)
    assert found.measurable
    assert found.percent == pytest.approx(20.0)


def test_noise_around_zero_is_no_effect() -> None:
    found = effect([11.0, 9.0, 10.5, 9.5, 10.2, 9.8, 10.0], [10.0] * 7)
    assert found is not None
    assert not found.measurable


def test_few_pairs_prove_nothing_however_alike() -> None:
    found = effect([20.0] * 4, [10.0] * 4)
    assert found is not None
    assert found.low > 0
    assert not found.measurable


def test_without_a_pair_there_is_no_effect_to_speak_of() -> None:
    assert effect([None, 1.0], [2.0, None]) is None


def test_slopes() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 4.0), (10.0, 4.0)]) == 0.0
    assert slope([(1.0, 4.0)]) is None
    assert slope([(1.0, 4.0), (1.0, 5.0)]) is None
