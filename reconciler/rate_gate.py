"""Holds back all questions to an API that refused one for its rate."""

from time import monotonic

from jobtrail.runtime.backoff import Backoff


class RateGate:
    """A gate before the API: each refusal shuts it for a while, for everybody.

    `first_pause_s`: the longest first pause where the API names none, in seconds; the following ones double.
    `longest_pause_s`: the longest of those pauses, in seconds.
    """

    def __init__(self, first_pause_s: float, longest_pause_s: float) -> None:
        self._backoff = Backoff(first_pause_s, longest_pause_s)
        self.opens_at = 0.0
        """When it opens or opened last, by `time.monotonic`."""
        self._refused_since: float | None = None

    @property
    def wait_s(self) -> float:
        """Seconds until it opens; not positive when it is open."""
        return self.opens_at - monotonic()

    @property
    def futile_s(self) -> float:
        """Seconds from the first refusal after the last answer until it opens: how long nothing is answered."""
        return 0.0 if self._refused_since is None else self.opens_at - self._refused_since

    def refuse(self, sent_at: float, retry_after_s: float | None) -> bool:
        """Shut it.

        `sent_at`: when the refused question was sent, by `time.monotonic`. `retry_after_s`: the pause that the API asks
        for, in seconds, if any. Returns whether that is news: questions that were under way together are refused
        together.
        """
        is_news = sent_at >= self.opens_at
        now = monotonic()
        if self._refused_since is None:
            self._refused_since = sent_at
        if retry_after_s:
            self.opens_at = max(self.opens_at, now + retry_after_s)
        elif is_news:
            self.opens_at = now + self._backoff.next_s()
        return is_news

    def answered(self) -> None:
        """Note that the API answered a question."""
        self._refused_since = None
        self._backoff.reset()
