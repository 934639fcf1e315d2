"""What only admins may do."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gallery import metrics
from gallery.auth.denied import REASONS, create_refusal, is_page_load

Page = Callable[[Request], Awaitable[Response]]


def needs_admin(page: Page) -> Page:
    """A page that answers a viewer with 403 and the reason `read_only`."""

    @functools.wraps(page)
    async def guarded(request: Request) -> Response:
        user = request.scope.get("state", {}).get("user")
        if user is not None and user.is_admin:
            return await page(request)
        metrics.REFUSED.labels("read_only").inc()
        if is_page_load(request.headers):
            raise HTTPException(*REASONS["read_only"])
        return create_refusal("read_only", request.headers)

    return guarded
