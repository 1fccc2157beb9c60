"""What the routers work with, made once."""

from dataclasses import dataclass
from functools import partial

from broker.queue_depth import QueueGauge
from desk.figure_book import FigureBook
from desk.stall_judge import StallJudge
from desk.stuck import StuckAdviser
from models.settings import Settings
from store.audit import AuditRepository
from store.causes import CauseRepository
from store.console import Console
from store.database import Database
from store.dataset_story import DatasetStories
from store.dataset_views import DatasetViews
from store.datasets import DatasetRepository
from store.extractors import ExtractorRepository
from store.incidents import IncidentRepository
from store.jobs import JobRepository
from store.keys import KeyRepository
from store.letters import LetterRepository
from store.notifications import NotificationRepository
from store.outbox import OutboxRepository
from store.replays import ReplayRepository
from store.resources import ResourceRepository
from store.sessions import SessionRepository
from store.statistics import StatisticsRepository
from store.tokens import TokenRepository
from store.workload import WorkloadRepository
from web.audit import AuditBook
from web.hosts import is_https, is_open
from web.identity import Doorkeeper, Identity
from web.kept_audits import KeptAudits
from web.letter_acts import LetterActs
from web.letter_count import LetterCount
from web.live.hub import Hub, make_hub
from web.render import Renderer
from web.session import Sessions


@dataclass(slots=True, frozen=True, kw_only=True)
class Parts:
    """The parts of the application that its routers share."""

    settings: Settings
    database: Database
    console: Console
    doorkeeper: Doorkeeper
    renderer: Renderer
    tokens: TokenRepository
    sessions: Sessions
    audit: AuditBook
    hub: Hub
    audit_records: AuditRepository
    jobs: JobRepository
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
    stuck: StuckAdviser
    letters: LetterRepository
    causes: CauseRepository
    replays: ReplayRepository
    letter_acts: LetterActs
    audits: KeptAudits
    incidents: IncidentRepository

    def judge(self) -> StallJudge:
        """Make a judge of stalls for this moment: one request, one judge."""
        return StallJudge(self.database, self.settings)


def make_parts(settings: Settings, database: Database, hub: Hub | None = None) -> Parts:
    """Make the parts.

    Args:
        settings: The settings.
        database: The trail's database, open.
        hub: What feeds the streams and the open pages; without one they hear of nothing.

    Returns:
        The parts.
    """
    console = Console(database, settings)
    tokens = TokenRepository(database)
    audit_records = AuditRepository(database)
    notifications = NotificationRepository(console)
    sessions = Sessions(KeyRepository(database), SessionRepository(database), is_secure=is_https(settings))
    figures = FigureBook(StatisticsRepository(database))
    queues = QueueGauge(settings.amqp_url)
    audit = AuditBook(audit_records)
    causes = CauseRepository(database)
    letter_count = LetterCount(causes)
    return Parts(
        settings=settings,
        database=database,
        console=console,
        doorkeeper=Doorkeeper(tokens, sessions, is_open=is_open(settings)),
        renderer=Renderer(partial(_unread, notifications), _csrf_token, letter_count.read),
        tokens=tokens,
        sessions=sessions,
        audit=audit,
        hub=hub or make_hub(settings, database),
        audit_records=audit_records,
        jobs=JobRepository(database),
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
        stuck=StuckAdviser(figures, queues, settings),
        letters=LetterRepository(database),
        causes=causes,
        replays=ReplayRepository(database),
        letter_acts=LetterActs(database, audit, letter_count),
        audits=KeptAudits(settings, database),
        incidents=IncidentRepository(database),
    )


async def _unread(notifications: NotificationRepository, asker: Identity) -> int | None:
    return None if asker.user_id is None else await notifications.unread_count(asker.user_id)


def _csrf_token(asker: Identity) -> str:
    return asker.csrf_token
