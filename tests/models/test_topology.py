"""Jobs are spread over streams, and few of them move when their number changes."""

from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.topology import stream_names, stream_of, streams_before

PARTITIONS = st.integers(1, 12)
JOBS = [f"job-{number}" for number in range(500)]


@given(PARTITIONS)
def test_every_job_has_one_of_the_streams_and_every_stream_has_its_share(partitions: int) -> None:
    shares = dict.fromkeys(stream_names("s", partitions), 0)
    for job in JOBS:
        shares[stream_of("s", partitions, job)] += 1

    assert min(shares.values()) > len(JOBS) / partitions / 3


def test_one_partition_has_the_common_name_and_several_have_numbers() -> None:
    assert stream_names("s", 1) == [stream_of("s", 1, "job")] == ["s"]
    assert stream_names("s", 3) == ["s.0", "s.1", "s.2"]


@given(PARTITIONS, PARTITIONS)
def test_a_job_is_either_in_the_same_stream_as_before_or_came_from_one_that_is_told(former: int, now: int) -> None:
    for job in JOBS:
        before, after = stream_of("s", former, job), stream_of("s", now, job)
        assert before == after or before in streams_before("s", now, former, after)


@given(PARTITIONS, PARTITIONS)
def test_no_two_streams_wait_for_each_other(former: int, now: int) -> None:
    for name in stream_names("s", now):
        for before in streams_before("s", now, former, name):
            assert before not in stream_names("s", now) or not streams_before("s", now, former, before)


def test_a_job_id_of_any_characters_has_a_stream() -> None:
    assert stream_of("s", 3, "\ud800\0é") in stream_names("s", 3)
