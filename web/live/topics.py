"""Topics: what a change is about, and so whom it concerns."""

import re
from typing import Annotated

from pydantic import AfterValidator

from jobtrail.models.jobs.wire import MAX_NAME_LENGTH
from jobtrail.store.feed import Touch, Update

Topic = str
"""Such as `all`, `datasets`, `job:ID`."""

ALL = "all"
"""Every change."""
DATASETS = "datasets"
"""Every change of a dataset."""
JOB = "job"
"""One job's updates."""
RESOURCE = "resource"
"""The updates about one resource."""
EXTRACTOR = "extractor"
"""One extractor: its updates, its versions, its instances."""
DATASET = "dataset"
"""One dataset: its history, log, batch jobs and messages, and the updates about it."""
USER = "user"
"""One user's notifications."""
LETTERS = "letters"
"""Every change of dead letters and of replays."""
GROUP = "group"
"""One group of dead letters."""
REPLAY = "replay"
"""One replay."""

_WHOLE = (ALL, DATASETS, LETTERS)
_KINDS = (JOB, RESOURCE, EXTRACTOR, DATASET, USER, GROUP, REPLAY)
_SPELLING = re.compile(rf"{'|'.join(_WHOLE)}|(?:{'|'.join(_KINDS)}):.{{1,{MAX_NAME_LENGTH}}}", flags=re.DOTALL)


def topic_of(kind: str, wanted: str) -> Topic:
    """Make the topic of one thing, such as `job:ID`."""
    return f"{kind}:{wanted}"


def id_in(topic: Topic, kind: str) -> str | None:
    """Return the id in a topic of this kind; None for another kind."""
    return topic.removeprefix(f"{kind}:") if topic.startswith(f"{kind}:") else None


def is_for_operators(topic: Topic) -> bool:
    """Tell whether only operators may follow a topic: dead letters hold what others sent."""
    return topic == LETTERS or topic.startswith((f"{GROUP}:", f"{REPLAY}:"))


def topics_of(change: Update | Touch) -> list[Topic]:
    """Return all topics of a change."""
    topics = [ALL]
    if isinstance(change, Update):
        update = change.event.update
        topics.append(topic_of(RESOURCE, update.resource_id))
        topics.append(topic_of(EXTRACTOR, update.extractor_id))
        topics.append(topic_of(DATASET, update.resource_id))  # a dataset is a resource too
        if update.job_id is not None:
            topics.append(topic_of(JOB, update.job_id))
        return topics
    if change.extractor is not None:
        topics.append(topic_of(EXTRACTOR, change.extractor))
    if change.dataset_id is not None:
        topics += (DATASETS, topic_of(DATASET, change.dataset_id))
    if change.user_id is not None:
        topics.append(topic_of(USER, change.user_id))
    for kind, wanted in ((GROUP, change.cause_id), (REPLAY, change.replay_id)):
        if wanted is not None:
            topics += (LETTERS, topic_of(kind, wanted))
    return topics


def _checked(topic: str) -> Topic:
    if _SPELLING.fullmatch(topic) is None:
        raise ValueError(f"a topic is {', '.join(_WHOLE)}, or one of {', '.join(_KINDS)} with a colon and an id")
    return topic


TopicName = Annotated[str, AfterValidator(_checked)]
"""A topic in a request."""
