"""How tokens are stored and recognised."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import MongoClient

from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role, valid_token_name
from jobtrail.store.access.tokens import LAST_USED_GRAIN, TokenRepository
from jobtrail.store.database import Database

NOW = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)


@pytest.fixture
def repository(database: Database) -> TokenRepository:
    return TokenRepository(database)


async def test_a_token_is_long_and_random_and_only_its_hash_is_stored(
    repository: TokenRepository, mongo_client: MongoClient, settings: Settings
) -> None:
    token, secret = await repository.create("one", role=Role.OPERATOR, user_id="ann", now=NOW)
    _, other = await repository.create("two", role=Role.VIEWER, user_id=None, now=NOW)

    assert secret.startswith("jt_")
    assert len(secret) == len("jt_") + 43  # 256 bits, 6 to a letter
    assert secret != other
    document = mongo_client[settings.database].tokens.find_one({"_id": token.id})
    assert document["hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(document)
    assert (token.name, token.role, token.user_id, token.created_at) == ("one", Role.OPERATOR, "ann", NOW)


async def test_a_token_is_recognised_by_all_of_it_and_looked_up_by_the_index_on_its_hash(
    repository: TokenRepository, mongo_client: MongoClient, settings: Settings
) -> None:
    token, secret = await repository.create("one", role=Role.VIEWER, user_id="ann", now=NOW)

    known = await repository.recognise(secret, NOW)

    assert known is not None
    assert known.id == token.id
    stored_hash = hashlib.sha256(secret.encode()).hexdigest()
    for wrong in (secret[:-1], f"{secret} ", secret.upper(), "", token.id, stored_hash):
        assert await repository.recognise(wrong, NOW) is None
    plan = mongo_client[settings.database].tokens.find({"hash": stored_hash}).explain()["queryPlanner"]["winningPlan"]
    assert plan["inputStage"]["indexName"] == "hash"


async def test_an_expired_or_revoked_token_is_not_recognised(repository: TokenRepository) -> None:
    hour = timedelta(hours=1)
    _, secret = await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW, expires_at=NOW + hour)
    _, other = await repository.create("two", role=Role.VIEWER, user_id=None, now=NOW)

    assert await repository.recognise(secret, NOW + hour - timedelta(seconds=1)) is not None
    assert await repository.recognise(secret, NOW + hour) is None
    assert await repository.recognise(other, NOW) is not None
    await repository.revoke("two", NOW)
    assert await repository.recognise(other, NOW) is None


async def test_the_last_use_is_noted_coarsely(repository: TokenRepository) -> None:
    _, secret = await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW)

    async def used_at(moment: datetime) -> datetime | None:
        await repository.recognise(secret, moment)
        [token] = await repository.list()
        return token.last_used_at

    assert (await repository.list())[0].last_used_at is None
    assert await used_at(NOW) == NOW
    assert await used_at(NOW + LAST_USED_GRAIN / 2) == NOW
    assert await used_at(NOW + LAST_USED_GRAIN) == NOW + LAST_USED_GRAIN
    assert await used_at(NOW) == NOW + LAST_USED_GRAIN


async def test_a_name_is_unique_until_its_token_is_revoked(repository: TokenRepository) -> None:
    first, _ = await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW)
    with pytest.raises(SettingError, match="there is a token 'one' already"):
        await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW)

    await repository.revoke("one", NOW)
    second, _ = await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW + timedelta(seconds=1))
    await repository.revoke("one", NOW + timedelta(seconds=2))

    assert [token.id for token in await repository.list()] == [second.id, first.id]
    with pytest.raises(NotFoundError):
        await repository.revoke("one", NOW)


async def test_revoking_again_by_id_changes_nothing(repository: TokenRepository) -> None:
    token, _ = await repository.create("one", role=Role.VIEWER, user_id=None, now=NOW)

    first = await repository.revoke(token.id, NOW)
    again = await repository.revoke(token.id, NOW + timedelta(days=1))

    assert first.revoked_at == again.revoked_at == NOW
    with pytest.raises(NotFoundError, match="no token 'nobody'"):
        await repository.revoke("nobody", NOW)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a\n", "é", "a" * 65, "a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="not a valid token name"):
        valid_token_name(name)


@pytest.mark.parametrize("name", ["a", "alice@example.org", "CI-2.x_y", "a" * 64])
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert valid_token_name(name) == name
