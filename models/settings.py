"""The settings: environment variables `JOBTRAIL_*` or a `.env` file, validated together at startup."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobtrail.models.datasets.dataset import StatusSource
from jobtrail.models.errors import SettingError
from jobtrail.models.topology import DEFAULT_REPLY_STREAM, stream_names, stream_of

MAX_PREFETCH = 20_000
MAX_PARTITIONS = 256
FORMER_REPLY_QUEUE = "jobtrail.replies"
"""The reply queue of versions before 0.2: what still waits there, or is still sent there, is bridged."""

QueueName = Annotated[str, Field(min_length=1, max_length=255)]


class ChannelName(StrEnum):
    """The ways to the outside."""

    # Each has its settings below, and a module of its name in reconciler/channels/.
    SLACK = "slack"
    EMAIL = "email"
    PUSHER = "pusher"


class Settings(BaseSettings):
    """Every setting, with its default. Precedence: command-line option, environment, `.env`, default."""

    model_config = SettingsConfigDict(env_prefix="JOBTRAIL_", env_file=".env", extra="ignore", frozen=True)

    amqp_url: SecretStr | None = Field(
        None,
        description="RabbitMQ, as amqp://user:password@host,host2:port/vhost; "
        "without it a running private stack is used",
    )
    mongo_url: SecretStr | None = Field(
        None,
        description="MongoDB replica set, as mongodb://host:port/?replicaSet=…; without it a private stack is used",
    )
    database: str = Field(
        "jobtrail", min_length=1, max_length=63, description="MongoDB database of jobs, updates and dead letters"
    )
    data_dir: Path = Field(Path(".jobtrail"), description="Folder of the private stack: data, logs, its state file")

    reply_stream: QueueName = Field(
        DEFAULT_REPLY_STREAM, description="Stream that workers send status updates to (`reply_to`)"
    )
    reply_partitions: int = Field(
        1,
        ge=1,
        le=MAX_PARTITIONS,
        description="Number of streams that updates are spread over, by job; if several: STREAM.0, STREAM.1, …",
    )
    stream_retention_days: float = Field(
        7.0,
        gt=0,
        description="Days after which the broker may remove updates from a stream, whether they were stored or not",
    )
    stream_retention_gb: float = Field(
        20.0, gt=0, description="Gigabytes that each stream may use on the broker's disk"
    )
    stream_segment_mb: int = Field(
        500, ge=1, le=2000, description="Megabytes per file of a stream; the broker removes whole files"
    )
    bridged_queues: str = Field(
        "", description="Queues to copy into the stream, separated by commas, such as Clowder's own reply queue"
    )
    reply_queue: QueueName | None = Field(
        None, description="Deprecated: the reply queue of versions before 0.2; if set, it is bridged too"
    )
    forward_to: QueueName | None = Field(
        None, description="Queue that the forwarder copies updates to, such as that of a live Clowder"
    )
    forward_name: str = Field(
        "forward",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the forwarder; each name keeps its own position",
    )
    forward_extractors: str = Field(
        "", description="Extractors whose updates are forwarded, separated by commas; empty means all"
    )
    dead_letter_queue: QueueName = Field(
        "jobtrail.dead-letters",
        description="Queue that other services may dead-letter into; `deadletters capture` empties it",
    )
    heartbeat_queue: QueueName = Field(
        "jobtrail.heartbeats", description="The monitor's queue on the `extractors` exchange"
    )

    prefetch: int = Field(4000, ge=2, le=MAX_PREFETCH, description="Unacknowledged messages the broker may hand out")
    batch_max_count: int = Field(1000, ge=1, description="Largest number of messages stored in one transaction")
    max_body_bytes: int = Field(
        2 * 1024 * 1024,
        ge=1024,
        le=3 * 1024 * 1024,
        description="Largest message body in bytes; larger messages become dead letters",
    )
    retry_max_wait_s: float = Field(
        10.0, gt=0, description="Longest pause in seconds between two attempts to reach a service"
    )

    heartbeat_interval_s: float = Field(
        10.0, gt=0, description="Seconds between two heartbeats of JobTrail's own sender"
    )
    instance_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds without a heartbeat after which an instance is offline; at least 2.5 of its own intervals",
    )
    stall_after_s: float = Field(
        300.0,
        gt=0,
        description="Seconds without an update after which a running job is stalled, if its worker lists no jobs",
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
        description="Sources of a dataset's status: api, events (its jobs) or both; without an API, both means events",
    )
    dataset_cron: str = Field("*/5 * * * *", description="When datasets are checked: five cron fields, in UTC")
    dataset_quiet_s: float = Field(
        60.0,
        ge=0,
        description="Seconds without news after which finished jobs complete a dataset whose group names no extractors",
    )
    analyzer_url: str | None = Field(
        None, description="Base URL of the analyzer's HTTP API; without it the API is not used"
    )
    analyzer_token: SecretStr | None = Field(None, description="Bearer token for the analyzer's API")
    analyzer_concurrency: int = Field(64, ge=1, le=1000, description="Requests to the analyzer's API at the same time")
    analyzer_timeout_s: float = Field(10.0, gt=0, description="Seconds that one request to the analyzer's API may take")

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
    outbox_max_attempts: int = Field(10, ge=1, description="Attempts after which a notification is given up")
    docs_url: str | None = Field(None, description="Where these docs are published; alerts link to them")

    health_host: str = Field("127.0.0.1", description="Address that the health and metrics pages listen on")
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
        description="More queues to capture dead letters from, separated by commas, such as error.ncsa.wordcount",
    )
    letter_retention_days: float | None = Field(
        90.0, gt=0, description="Days after which closed dead letters lose their bytes; an entry stays in the archive"
    )
    replay_outcome_timeout_s: float = Field(
        600.0, gt=0, description="Seconds without news after which a replayed dead letter's outcome is unknown"
    )
    dead_letters_health_port: int = Field(
        9111, ge=0, le=65535, description="Port of the capture's /health and /metrics; 0 picks a free one"
    )
    forwarder_health_port: int = Field(
        9112, ge=0, le=65535, description="Port of the forwarder's /health and /metrics; 0 picks a free one"
    )

    web_host: str = Field("127.0.0.1", description="Address that the web listens on")
    web_port: int = Field(8080, ge=0, le=65535, description="Port of the web; 0 picks a free one")
    web_auth: Literal["auto", "tokens"] = Field(
        "auto",
        description="Who needs a token: auto (nobody on a loopback address, everybody elsewhere) or tokens (everybody)",
    )
    web_url: str | None = Field(
        None, description="Address that browsers use, if it is another one: https://jobtrail.example.org"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of log records that are written"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log format; auto means console on a terminal, JSON lines elsewhere"
    )

    @field_validator("web_url")
    @classmethod
    def _only_an_origin(cls, url: str | None) -> str | None:
        if url is None or re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/?", url):
            return url and url.rstrip("/")
        raise ValueError("it must be http:// or https://, a host, and a port if it is not the usual one")

    @model_validator(mode="after")
    def _linked(self) -> "Settings":
        if self.instance_timeout_s < 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"JOBTRAIL_INSTANCE_TIMEOUT_S ({self.instance_timeout_s:g}) must be at least twice "
                f"JOBTRAIL_HEARTBEAT_INTERVAL_S ({self.heartbeat_interval_s:g}), "
                "or one lost heartbeat shows a live worker as offline"
            )
        own = [*self.reply_streams, self.dead_letter_queue, self.heartbeat_queue]
        if len(set(own)) < len(own):
            raise ValueError(
                "JOBTRAIL_REPLY_STREAM, JOBTRAIL_DEAD_LETTER_QUEUE and JOBTRAIL_HEARTBEAT_QUEUE must differ"
            )
        if {*self.reply_streams, self.heartbeat_queue} & set(self.captured_queues):
            raise ValueError("JOBTRAIL_CAPTURE_QUEUES must not name the reply stream or the heartbeat queue")
        if set(own) & set(self.queues_to_bridge):
            raise ValueError("JOBTRAIL_BRIDGED_QUEUES must not name the stream or another queue of JobTrail's own")
        if set(self.queues_to_bridge) & set(self.captured_queues):
            raise ValueError(
                "a queue is either bridged or captured: JOBTRAIL_BRIDGED_QUEUES and JOBTRAIL_CAPTURE_QUEUES"
            )
        if self.forward_to in {*own, *self.queues_to_bridge, *self.captured_queues}:
            raise ValueError(
                f"updates can't be forwarded to {self.forward_to}: JobTrail reads it itself; name a queue that only "
                "somebody else reads in JOBTRAIL_FORWARD_TO or --to"
            )
        return self

    @model_validator(mode="after")
    def _datasets(self) -> "Settings":
        if self.dataset_source == "api" and self.analyzer_url is None:
            raise ValueError("JOBTRAIL_ANALYZER_URL must be set where JOBTRAIL_DATASET_SOURCE is api")
        if (self.slack_token is None) != (self.slack_channel is None):
            raise ValueError("JOBTRAIL_SLACK_TOKEN and JOBTRAIL_SLACK_CHANNEL belong together: set both or none")
        return self

    @property
    def reply_streams(self) -> list[str]:
        """The streams that updates are read from, by partition."""
        return stream_names(self.reply_stream, self.reply_partitions)

    def reply_to(self, job_id: str) -> str:
        """Tell where the updates of a job go.

        Args:
            job_id: The job.

        Returns:
            The stream.
        """
        return stream_of(self.reply_stream, self.reply_partitions, job_id)

    @property
    def queues_to_bridge(self) -> list[str]:
        """The queues whose updates are copied into the stream."""
        named = (queue.strip() for queue in self.bridged_queues.split(","))
        return list(dict.fromkeys(filter(None, [FORMER_REPLY_QUEUE, self.reply_queue, *named])))

    @property
    def extractors_to_forward(self) -> frozenset[str]:
        """The extractors whose updates are copied; empty for all."""
        return frozenset(filter(None, map(str.strip, self.forward_extractors.split(","))))

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
