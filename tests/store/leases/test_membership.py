"""Who is alive, and which work each process knows."""

from jobtrail.consumer.sharing import share_of
from jobtrail.store.database import Database
from jobtrail.store.leases.membership import Membership


async def test_each_member_says_which_pieces_it_knows(database: Database) -> None:
    first, second, other = (Membership(database, group) for group in ("g", "g", "other"))
    await other.renew(["x"])
    await first.renew(["b", "a"])
    assert await second.renew(["$b"]) == {first.name: ["a", "b"], second.name: ["$b"]}
    await first.leave()
    assert await second.renew(["b"]) == {second.name: ["b"]}


def test_pieces_are_shared_evenly_and_everyone_agrees() -> None:
    pieces = tuple(f"piece {number}" for number in range(7))
    known = dict.fromkeys(("m1", "m2", "m3"), pieces)
    shares = [share_of(member, known) for member in known]
    assert sorted(map(len, shares)) == [2, 2, 3]
    assert set.union(*shares) == set(pieces)


def test_a_piece_falls_to_one_that_knows_it() -> None:
    known = {"m1": ["bridge a", "stream 0", "stream 1"], "m2": ["stream 0", "stream 1"], "m3": []}
    assert share_of("m1", known) == {"bridge a", "stream 1"}
    assert share_of("m2", known) == {"stream 0"}
    assert share_of("m3", known) == set()
    assert share_of("gone", known) == set()
