"""The settings: environment variables `JOBTRAIL_*` or a `.env` file, validated together at startup."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.dataset import StatusSource
from models.errors import SettingError

MAX_PREFETCH = 5000
"""The consumer remembers this many of the latest deliveries of a queue, which bounds the prefetch window."""

QueueName = Annotated[str, Field(min_length=1, max_length=255)]


class Settings(BaseSettings):
    """Every setting, with its default. Precedence: command-line option, environment, `.env`, default."""

    model_config = SettingsConfigDict(env_prefix="JOBTRAIL_", env_file=".env", extra="ignore", frozen=True)

    amqp_url: SecretStr | None = Field(
        None,
        description="RabbitMQ, as amqp://user:password@host:port/vhost; without it a running private stack is used",
    )
    mongo_url: SecretStr | None = Field(
        None,
        description="MongoDB replica set, as mongodb://host:port/?replicaSet=…; without it a private stack is used",
    )
    database: str = Field("jobtrail", min_length=1, max_length=63, description="MongoDB database of the trail")
    data_dir: Path = Field(Path(".jobtrail"), description="Folder of the private stack: data, logs, its state file")

    reply_queue: QueueName = Field(
        "jobtrail.replies", description="Queue that workers send status updates to (`reply_to`)"
    )
    dead_letter_queue: QueueName = Field(
        "jobtrail.dead-letters", description="Queue for messages that can't be processed"
    )
    heartbeat_queue: QueueName = Field(
        "jobtrail.heartbeats", description="The monitor's queue on the `extractors` exchange"
    )

    prefetch: int = Field(2000, ge=2, le=MAX_PREFETCH, description="Unacknowledged messages the broker may hand out")
    batch_max_count: int = Field(500, ge=1, description="Messages stored together at the most")
    batch_max_wait_ms: int = Field(
        20, ge=0, le=10_000, description="Milliseconds the first message of a batch waits for company while more arrive"
    )
    max_body_bytes: int = Field(
        2 * 1024 * 1024,
        ge=1024,
        le=3 * 1024 * 1024,
        description="Largest message body that is stored; larger ones are dead-lettered",
    )
    retry_max_wait_s: float = Field(
        10.0, gt=0, description="Longest pause in seconds between two tries to reach a service"
    )

    heartbeat_interval_s: float = Field(10.0, gt=0, description="Seconds between two heartbeats that our sender sends")
    instance_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds of silence after which an instance counts as offline; at least 2.5 of its own intervals",
    )
    stall_after_s: float = Field(
        300.0,
        gt=0,
        description="Seconds of silence after which a running job of a worker that lists no jobs counts as stalled",
    )

    console_database: str = Field(
        "gb_console",
        min_length=1,
        max_length=63,
        description="MongoDB database of the console: histories, groups",
    )
    analyzer_database: str = Field(
        "gb_analyzer", min_length=1, max_length=63, description="MongoDB database of the analyzer's batch jobs"
    )
    dataset_source: Literal["api", "events", "both"] = Field(
        "both",
        description="Who tells a dataset's status: api, events (its jobs), or both; both without an API is events",
    )
    dataset_cron: str = Field("*/5 * * * *", description="When datasets are checked, as five cron fields, UTC")
    dataset_quiet_s: float = Field(
        60.0,
        ge=0,
        description="Seconds without news until a dataset is complete by its jobs, where its group names no extractors",
    )
    analyzer_url: str | None = Field(None, description="Base URL of the analyzer's HTTP API; not asked without it")
    analyzer_token: SecretStr | None = Field(None, description="Bearer token for the analyzer's API")
    analyzer_concurrency: int = Field(64, ge=1, le=1000, description="Datasets that are asked for at the same time")
    analyzer_timeout_s: float = Field(10.0, gt=0, description="Seconds the analyzer's API may take for one answer")

    slack_token: SecretStr | None = Field(None, description="Slack bot token (`chat:write`); without it Slack is off")
    slack_channel: str | None = Field(None, description="Slack channel, id or name, for alerts and summaries")
    slack_url: str = Field("https://slack.com/api/", description="Base URL of Slack's Web API")
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server, as smtp://user:password@host:587 (STARTTLS if offered) or smtps://; else mail is off",
    )
    email_from: str = Field("JobTrail <jobtrail@localhost>", description="Sender of the mails")
    pusher_url: SecretStr | None = Field(
        None, description="Pusher, as https://key:secret@api-cluster.pusher.com/apps/id; without it Pusher is off"
    )
    outbox_max_attempts: int = Field(10, ge=1, description="Attempts after which a message to the outside is given up")
    docs_url: str | None = Field(None, description="Where these docs are published; alerts link to them")

    health_host: str = Field("127.0.0.1", description="Address of the health and metrics pages")
    consumer_health_port: int = Field(
        9108, ge=0, le=65535, description="Port of the consumer's /health and /metrics; 0 picks a free one"
    )
    monitor_health_port: int = Field(
        9109, ge=0, le=65535, description="Port of the monitor's /health and /metrics; 0 picks a free one"
    )

    reconciler_health_port: int = Field(
        9110, ge=0, le=65535, description="Port of the reconciler's /health and /metrics; 0 picks a free one"
    )
    capture_queues: str = Field(
        "",
        description="Further queues to capture dead letters from, parted by commas, such as error.ncsa.wordcount",
    )
    letter_retention_days: float | None = Field(
        90.0, gt=0, description="Days after which closed dead letters are removed, but for an entry in the archive"
    )
    replay_outcome_timeout_s: float = Field(
        600.0, gt=0, description="Seconds without news after which the outcome of a replayed letter counts as unknown"
    )
    dead_letters_health_port: int = Field(
        9111, ge=0, le=65535, description="Port of the dead letters' /health and /metrics; 0 picks a free one"
    )

    web_host: str = Field("127.0.0.1", description="Address of the web")
    web_port: int = Field(8080, ge=0, le=65535, description="Port of the web; 0 picks a free one")
    web_auth: Literal["auto", "tokens"] = Field(
        "auto", description="Who needs a token: auto is nobody on a loopback address, everybody elsewhere; or tokens"
    )
    web_url: str | None = Field(
        None, description="Address by which browsers reach the web, where it is another: https://jobtrail.example.org"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log records that are written"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else JSON lines"
    )

    @field_validator("web_url")
    @classmethod
    def _only_an_origin(cls, url: str | None) -> str | None:
        if url is None or re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/?", url):
            return url and url.rstrip("/")
        raise ValueError("it must be http:// or https://, a host, and a port if it is not the usual one")

    @model_validator(mode="after")
    def _linked(self) -> "Settings":
        if self.batch_max_count >= self.prefetch:
            raise ValueError(
                f"JOBTRAIL_BATCH_MAX_COUNT ({self.batch_max_count}) must be less than "
                f"JOBTRAIL_PREFETCH ({self.prefetch}): "
                "the consumer keeps the last stored message unacknowledged while it fills the next batch"
            )
        if self.instance_timeout_s < 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"JOBTRAIL_INSTANCE_TIMEOUT_S ({self.instance_timeout_s:g}) must be at least twice "
                f"JOBTRAIL_HEARTBEAT_INTERVAL_S ({self.heartbeat_interval_s:g}), "
                "or one lost heartbeat shows a live worker as offline"
            )
        if len({self.reply_queue, self.dead_letter_queue, self.heartbeat_queue}) < 3:
            raise ValueError(
                "JOBTRAIL_REPLY_QUEUE, JOBTRAIL_DEAD_LETTER_QUEUE and JOBTRAIL_HEARTBEAT_QUEUE must differ"
            )
        if {self.reply_queue, self.heartbeat_queue} & set(self.captured_queues):
            raise ValueError("JOBTRAIL_CAPTURE_QUEUES must not name the reply queue or the heartbeat queue")
        return self

    @model_validator(mode="after")
    def _datasets(self) -> "Settings":
        if self.dataset_source == "api" and self.analyzer_url is None:
            raise ValueError("JOBTRAIL_ANALYZER_URL must be set where JOBTRAIL_DATASET_SOURCE is api")
        if (self.slack_token is None) != (self.slack_channel is None):
            raise ValueError("JOBTRAIL_SLACK_TOKEN and JOBTRAIL_SLACK_CHANNEL belong together: set both or none")
        return self

    @property
    def captured_queues(self) -> list[str]:
        """The queues whose messages are captured as dead letters."""
        named = (queue.strip() for queue in self.capture_queues.split(","))
        return list(dict.fromkeys([self.dead_letter_queue, *filter(None, named)]))

    @property
    def dataset_sources(self) -> frozenset[StatusSource]:
        """Who is asked for the status of datasets."""
        if self.dataset_source != "both":
            return frozenset({StatusSource(self.dataset_source)})
        return frozenset(StatusSource if self.analyzer_url else {StatusSource.EVENTS})

    def require_amqp_url(self) -> str:
        """Return the broker's URL, password included.

        Raises:
            SettingError: It is not set.
        """
        return _require(self.amqp_url, "JOBTRAIL_AMQP_URL", "amqp://user:password@host:5672/")

    def require_mongo_url(self) -> str:
        """Return the database's URL, password included.

        Raises:
            SettingError: It is not set.
        """
        return _require(self.mongo_url, "JOBTRAIL_MONGO_URL", "mongodb://host:27017/?replicaSet=rs0")


def _require(value: SecretStr | None, name: str, example: str) -> str:
    if value is None:
        raise SettingError(
            f"{name} is not set and no private stack is running: start one with `make run`, or set {name}={example}"
        )
    return value.get_secret_value()


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings.

    Args:
        overrides: Values that go before environment and `.env`, by field name; None values are passed over.

    Returns:
        The settings, validated.

    Raises:
        SettingError: A setting is wrong; the message is one line that names it and says what it should be.
    """
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**chosen)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        words = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise SettingError(words) from error
        name = str(first["loc"][0])
        given = "" if name.endswith("_url") else f" (it is {first['input']!r})"  # a URL may hold a password
        raise SettingError(f"JOBTRAIL_{name.upper()}: {words}{given}") from error
