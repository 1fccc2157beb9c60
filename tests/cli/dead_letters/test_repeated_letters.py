"""A letter that may be a repetition on the command line."""

from typing import Any

from pymongo import MongoClient

from jobtrail.models.settings import Settings
from tests.cli.dead_letters.test_deadletters import Letters, ids, letters, states
from tests.cli.support import JobTrail

__all__ = ["letters"]


def test_repetitions_are_marked_and_can_be_chosen(
    jobtrail: JobTrail, letters: Letters, settings: Settings, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    first, second = letters(b"not", b"neither")
    trail = mongo_client[settings.database]["dead_letters"]
    (mark,) = [each for each in trail.find() if str(each["_id"]) == second]
    trail.update_one({"_id": mark["_id"]}, {"$set": {"maybe_repeated": first}})

    assert "maybe repeated" in jobtrail.run("deadletters", "list").stdout
    assert f"possibly of {first}" in " ".join(jobtrail.run("deadletters", "show", second).stdout.split())
    assert jobtrail.json("deadletters", "show", second)["letter"]["maybe_repeated"] == first
    assert ids(jobtrail, "--repeated") == [second]
    assert ids(jobtrail, "--not-repeated") == [first]
    done = jobtrail.run("deadletters", "discard", "--repeated", "--reason", "it came twice", "--yes")
    assert done.returncode == 0, done.stderr
    assert states(jobtrail) == {first: "open", second: "discarded"}
    done = jobtrail.run("deadletters", "discard", "--not-repeated", "--reason", "no use", "--yes")
    assert done.returncode == 0, done.stderr
    assert states(jobtrail) == {first: "discarded", second: "discarded"}
