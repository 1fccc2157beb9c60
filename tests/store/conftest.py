"""Fixtures: somebody who writes into the trail."""

from tests.web.live.conftest import writer

__all__ = ["writer"]
