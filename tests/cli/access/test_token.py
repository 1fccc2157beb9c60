import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pymongo import MongoClient

from jobtrail.models.notifications.pusher_channels import user_channel
from jobtrail.models.settings import Settings
from tests.cli.support import JobTrail
from tests.support import WAIT_S, eventually


def test_a_token_is_printed_once_alone_on_stdout(
    jobtrail: JobTrail, mongo_client: MongoClient, settings: Settings
) -> None:
    done = jobtrail.run("token", "create", "alice-laptop", "--user", "alice", "--expires", "90d")

    assert done.returncode == 0, done.stderr
    secret = done.stdout.removesuffix("\n")
    assert secret.startswith("jt_")
    assert secret.isprintable()
    assert "viewer of user alice, until 20" in done.stderr
    assert secret not in done.stderr
    listed = jobtrail.run("token", "list", COLUMNS="120")
    assert "alice-laptop" in listed.stdout
    assert "valid, ends in 89 d" in listed.stdout
    assert secret not in listed.stdout + str(list(mongo_client[settings.database].tokens.find()))


def test_tokens_are_made_listed_and_revoked_in_json(jobtrail: JobTrail) -> None:
    assert jobtrail.json("token", "list") == {"tokens": []}
    made = jobtrail.json("token", "create", "ci", "--role", "operator", "--expires", "2h")
    assert made.pop("token").startswith("jt_")
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1) < left <= timedelta(hours=2)
    assert made == {
        "id": made["id"],
        "name": "ci",
        "role": "operator",
        "user_id": None,
        "created_at": made["created_at"],
        "last_used_at": None,
        "expires_at": made["expires_at"],
        "revoked_at": None,
        "valid": True,
    }

    assert jobtrail.json("token", "list") == {"tokens": [made]}
    revoked = jobtrail.json("token", "revoke", "ci")
    assert (revoked["id"], revoked["valid"], revoked["revoked_at"] is not None) == (made["id"], False, True)
    assert jobtrail.json("token", "revoke", made["id"]) == revoked
    assert jobtrail.json("token", "list") == {"tokens": [revoked]}
    assert "✖ revoked" in jobtrail.run("token", "list").stdout


def test_an_empty_list_says_how_to_make_a_token(jobtrail: JobTrail) -> None:
    assert "jobtrail token create" in jobtrail.run("token", "list").stdout


def test_wrong_use_is_told(jobtrail: JobTrail) -> None:
    jobtrail.json("token", "create", "taken")
    for arguments, words in (
        (("create", "taken"), "there is a token 'taken' already"),
        (("create", "no name"), "not a valid token name"),
        (("create", "one", "--user", ""), "--user"),
        (("create", "one", "--expires", "soon"), "--expires"),
        (("create", "one", "--expires", "99999999w"), "--expires"),
        (("create", "one", "--role", "emperor"), "--role"),
    ):
        done = jobtrail.run("token", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    missing = jobtrail.run("token", "revoke", "nobody", "--json")
    assert (missing.returncode, json.loads(missing.stderr)["error"]["code"]) == (3, "not_found")


def test_the_web_serves_until_sigterm_and_logs_json_without_secrets(jobtrail: JobTrail, tmp_path: Path) -> None:
    secret = jobtrail.json("token", "create", "ann", "--user", "ann")["token"]
    log = tmp_path / "web.log"
    changes = {
        "JOBTRAIL_PUSHER_URL": "https://app-key:app-secret@api-eu.pusher.com/apps/1",
        "JOBTRAIL_LOG_LEVEL": "debug",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(jobtrail.command("web"), env=jobtrail.environ(changes), stderr=file)
    try:

        def url() -> str:
            records = [json.loads(line) for line in log.read_text().splitlines() if "web.serving" in line]
            return str(records[0]["url"]) if records else ""

        with httpx.Client(base_url=eventually(url), timeout=WAIT_S) as client:
            answer = client.post(
                "/pusher/auth",
                data={"socket_id": "1.2", "channel_name": user_channel("ann")},
                headers={"Authorization": f"Bearer {secret}"},
            )
            assert answer.status_code == 200, answer.text
            assert jobtrail.json("token", "list")["tokens"][0]["last_used_at"] is not None
            assert jobtrail.run("token", "revoke", "ann").returncode == 0
            assert client.post("/pusher/auth", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    finally:
        process.terminate()
        process.wait(30)

    assert process.returncode == 0
    text = log.read_text()
    records = [json.loads(line) for line in text.splitlines()]
    assert {"web.starting", "web.serving", "web.request", "web.stopping", "web.stopped"} <= {
        record.get("action") for record in records
    }
    assert secret not in text
    assert "app-secret" not in text
