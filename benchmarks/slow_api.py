"""An analyzer API that takes its time for each answer: `python -m benchmarks.slow_api PORT SECONDS`. Run as a process.

One dataset in ten is complete; the others are in work.
"""

import asyncio
import sys

from aiohttp import web


def application(delay_s: float) -> web.Application:
    """Make it.

    Args:
        delay_s: How long each answer takes.

    Returns:
        The application.
    """

    async def tell(request: web.Request) -> web.Response:
        dataset_id = request.match_info["id"]
        await asyncio.sleep(delay_s)
        if dataset_id.endswith("0"):
            return web.json_response({"id": dataset_id, "status": "complete"})
        return web.json_response({"id": dataset_id, "status": "analyzing", "progress": 40})

    app = web.Application()
    app.router.add_get("/datasets/{id}", tell)
    return app


if __name__ == "__main__":
    web.run_app(application(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
