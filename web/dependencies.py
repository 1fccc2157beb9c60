"""What routes depend on: the application's parts, and who sent the request."""

from typing import Annotated, cast

from fastapi import Depends, Request

from jobtrail.web.auth.identity import Identity, require_operator
from jobtrail.web.parts import Parts


async def get_parts(request: Request) -> Parts:
    """Return the parts of the application that serves a request."""
    return cast(Parts, request.app.state.parts)


async def get_identity(request: Request) -> Identity:
    """Return who sent a request; the middleware has authenticated them before any route is chosen."""
    return cast(Identity, request.state.identity)


AppParts = Annotated[Parts, Depends(get_parts)]
Caller = Annotated[Identity, Depends(get_identity)]
"""Anybody whom we know."""


async def get_operator(identity: Caller) -> Identity:
    """Return the operator who sent a request; refuse anybody else with 403."""
    return require_operator(identity)


Operator = Annotated[Identity, Depends(get_operator)]
