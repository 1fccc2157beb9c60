"""Histograms of durations."""

import math

from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.durations import ERROR, GROWTH, Durations, summed

milliseconds = st.integers(1, 30 * 86_400_000)


def histogram(times_ms: list[int]) -> Durations:
    bins: dict[int, int] = {}
    for each in times_ms:
        number = math.floor(math.log(each, GROWTH))
        bins[number] = bins.get(number, 0) + 1
    return Durations(bins)


@given(st.lists(milliseconds, min_size=1), st.sampled_from([0.01, 0.5, 0.95, 1.0]))
def test_a_share_is_told_as_closely_as_promised(times_ms, share):
    exact_s = sorted(times_ms)[math.ceil(share * len(times_ms)) - 1] / 1000
    told_s = histogram(times_ms).within_s(share)
    assert told_s is not None
    assert abs(told_s - exact_s) <= exact_s * ERROR * 1.001
    assert ERROR < 0.05


@given(st.lists(st.lists(milliseconds)))
def test_histograms_that_are_put_together_are_one_of_all(parts):
    together = summed(histogram(part) for part in parts)
    assert together.bins == histogram([each for part in parts for each in part]).bins
    assert together.count == sum(map(len, parts))


def test_nothing_has_no_median():
    assert Durations().within_s(0.5) is None
