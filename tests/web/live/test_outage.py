"""While the database is away streams wait, and go on without a gap; or say that there is one."""

import asyncio
from pathlib import Path

from pydantic import SecretStr

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.way import way_to
from tests.web.conftest import serving
from tests.web.live.client import listening
from tests.web.live.small_mongod import small_mongod
from tests.web.live.writer import Writer

ALL = "/api/v1/stream"


async def test_streams_go_on_after_an_outage_and_are_reset_after_one_too_long(
    settings: Settings, tmp_path: Path
) -> None:
    with small_mongod(tmp_path / "mongo") as mongod:
        direct = f"mongodb://127.0.0.1:{mongod.port}/?directConnection=true"
        async with way_to(mongod.port) as way, Database(direct, settings.database) as database:
            await database.ensure_indexes()
            writer = Writer(database)
            await writer.start()
            cuttable = SecretStr(f"mongodb://127.0.0.1:{way.port}/?directConnection=true")
            async with serving(settings.model_copy(update={"mongo_url": cuttable})) as web:
                port = web.base_url.port or 0
                async with listening(port, ALL) as client:
                    begin = await client.located()
                    await writer.say("before")
                    assert await client.messages(1) == ["before"]

                    await way.cut()
                    await writer.say("while it is away", "and more")
                    async with listening(port, ALL, after=client.last_id) as meanwhile:
                        await way.open()
                        assert await client.messages(2) == ["while it is away", "and more"]
                        assert await meanwhile.messages(2) == ["while it is away", "and more"]

                    await way.cut()
                    await writer.say("never heard of")
                    await asyncio.to_thread(mongod.forget)
                    await way.open()
                    reset = await client.event()
                    assert reset is not None
                    assert (reset.kind, reset.data) == ("reset", {})
                    await writer.say("afterwards")
                    assert await client.messages(1) == ["afterwards"]

                    async with listening(port, ALL, after=begin) as long_away:
                        reset = await long_away.event()
                        assert reset is not None
                        assert reset.kind == "reset"
                        await writer.say("for all")
                        assert await long_away.messages(1) == await client.messages(1) == ["for all"]
            await writer.close()
