"""What the functions of routes ask FastAPI for: the application's parts, and who asks."""

from typing import Annotated, cast

from fastapi import Depends, Request

from jobtrail.web.auth.identity import Identity, require_operator
from jobtrail.web.parts import Parts


async def get_parts(request: Request) -> Parts:
    """Return the parts of the application that serves a request."""
    return cast(Parts, request.app.state.parts)


async def get_identity(request: Request) -> Identity:
    """Return who asks; the middleware has let them in before any route is chosen, so no route can be left open."""
    return cast(Identity, request.state.identity)


AppParts = Annotated[Parts, Depends(get_parts)]
Caller = Annotated[Identity, Depends(get_identity)]
"""Anybody whom we know."""


async def get_operator(identity: Caller) -> Identity:
    """Return the operator who asks; anybody else is refused with 403."""
    return require_operator(identity)


Operator = Annotated[Identity, Depends(get_operator)]
