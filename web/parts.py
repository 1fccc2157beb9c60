"""What the routes work with, made once."""

from dataclasses import dataclass
from functools import partial

from pusher import Pusher

from jobtrail.broker.queue_depth import QueueGauge
from jobtrail.models.settings import Settings
from jobtrail.operations.audit import AuditBook
from jobtrail.operations.dead_letters import DeadLetterActs
from jobtrail.operations.diagnosis import Diagnoser
from jobtrail.operations.figure_book import FigureBook
from jobtrail.operations.job_acts import JobActs
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.reconciler.channels.pusher import pusher_client
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.access.sessions import SessionRepository
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.store.clowder.reads import ClowderReads
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.datasets import DatasetRepository
from jobtrail.store.datasets.story import DatasetStories
from jobtrail.store.datasets.views import DatasetViews
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.resources import ResourceRepository
from jobtrail.store.jobs.statistics import StatisticsRepository
from jobtrail.store.jobs.workload import WorkloadRepository
from jobtrail.store.keys import KeyRepository
from jobtrail.store.log.incidents import IncidentRepository
from jobtrail.store.notifications.notifications import NotificationRepository
from jobtrail.store.notifications.outbox import OutboxRepository
from jobtrail.web.auth.hosts import is_https, is_open
from jobtrail.web.auth.identity import Authenticator, Identity
from jobtrail.web.auth.login_tries import LoginTries
from jobtrail.web.auth.session import Sessions
from jobtrail.web.dead_letters.accounting import SharedAccounting
from jobtrail.web.dead_letters.count import OpenCount
from jobtrail.web.live.hub import Hub, make_hub
from jobtrail.web.render import Renderer


@dataclass(slots=True, frozen=True, kw_only=True)
class Parts:
    """The repositories, services and settings that the routes share."""

    settings: Settings
    database: Database
    console: Console
    authenticator: Authenticator
    renderer: Renderer
    tokens: TokenRepository
    sessions: Sessions
    audit: AuditBook
    hub: Hub
    audit_records: AuditRepository
    jobs: JobRepository
    job_acts: JobActs
    extractors: ExtractorRepository
    datasets: DatasetRepository
    dataset_views: DatasetViews
    dataset_stories: DatasetStories
    notifications: NotificationRepository
    outbox: OutboxRepository
    resources: ResourceRepository
    workload: WorkloadRepository
    figures: FigureBook
    queues: QueueGauge
    stuck: Diagnoser
    letters: LetterRepository
    causes: CauseRepository
    replays: ReplayRepository
    dead_letter_acts: DeadLetterActs
    audits: SharedAccounting
    incidents: IncidentRepository
    clowder: ClowderReads
    login_tries: LoginTries
    pusher: Pusher | None
    """None where Pusher is off."""

    def stall_detector(self) -> StallDetector:
        """Make a detector of stalls for this moment: one per request."""
        return StallDetector(self.database, self.settings)


def make_parts(settings: Settings, database: Database, hub: Hub | None = None) -> Parts:
    """Make the parts; without a hub of the caller's, one that is not running."""
    console = Console(database, settings)
    tokens = TokenRepository(database)
    audit_records = AuditRepository(database)
    notifications = NotificationRepository(console)
    sessions = Sessions(KeyRepository(database), SessionRepository(database), is_secure=is_https(settings))
    figures = FigureBook(StatisticsRepository(database))
    queues = QueueGauge(settings.amqp_url)
    audit = AuditBook(audit_records)
    causes = CauseRepository(database)
    open_count = OpenCount(causes)
    url = settings.pusher_url
    return Parts(
        settings=settings,
        database=database,
        console=console,
        authenticator=Authenticator(tokens, sessions, is_open=is_open(settings)),
        renderer=Renderer(partial(_unread, notifications), _csrf_token, open_count.read),
        tokens=tokens,
        sessions=sessions,
        audit=audit,
        hub=hub or make_hub(settings, database),
        audit_records=audit_records,
        jobs=JobRepository(database),
        job_acts=JobActs(settings=settings, database=database, audit=audit),
        extractors=ExtractorRepository(database),
        datasets=DatasetRepository(console),
        dataset_views=DatasetViews(console),
        dataset_stories=DatasetStories(console),
        notifications=notifications,
        outbox=OutboxRepository(database),
        resources=ResourceRepository(database),
        workload=WorkloadRepository(database),
        figures=figures,
        queues=queues,
        stuck=Diagnoser(figures, queues, settings),
        letters=LetterRepository(database),
        causes=causes,
        replays=ReplayRepository(database),
        dead_letter_acts=DeadLetterActs(database, audit, open_count.forget),
        audits=SharedAccounting(settings, database),
        incidents=IncidentRepository(database),
        clowder=ClowderReads(console),
        login_tries=LoginTries(),
        pusher=pusher_client(url.get_secret_value()) if url else None,
    )


async def _unread(notifications: NotificationRepository, identity: Identity) -> int | None:
    return None if identity.user_id is None else await notifications.unread_count(identity.user_id)


def _csrf_token(identity: Identity) -> str:
    return identity.csrf_token
