"""The number of open dead letters, which stands in the bar on every page of an operator."""

from jobtrail.models.token import Role
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.web.auth.identity import Identity
from jobtrail.web.shared_answers import SharedAnswers

KEPT_S = 2.0


class OpenCount:
    """Counts the open dead letters; the pages of one moment share the count."""

    def __init__(self, causes: CauseRepository) -> None:
        self._causes = causes
        self._answers = SharedAnswers(self._count, KEPT_S)
        self.forget = self._answers.forget

    async def read(self, identity: Identity) -> int | None:
        """Return the count, at most `KEPT_S` old; None for those whom it does not concern."""
        return await self._answers.read("") if identity.role is Role.OPERATOR else None

    async def _count(self, _key: str) -> int:
        return await self._causes.unsettled()
