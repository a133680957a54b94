"""What uvicorn and gunicorn serve: the benchmark's views, and at /hops/ how often a thread was changed.

A hop is a call of ``sync_to_async``: the event loop hands work to a thread and waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import SyncToAsync
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

_hops = 0
_call = SyncToAsync.__call__


async def _counted(self: Any, *args: Any, **kwargs: Any) -> Any:
    global _hops
    _hops += 1
    return await _call(self, *args, **kwargs)


SyncToAsync.__call__ = _counted  # type: ignore[method-assign]
_django = get_asgi_application()
_django_wsgi = get_wsgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve /hops/, which is the number of hops since it was last asked for, and Django's views."""
    global _hops
    if scope["type"] == "http" and scope["path"] == "/hops/":
        # The last request may be on its way out still: its connections are closed after the answer.
        await asyncio.sleep(0.05)
        text, _hops = str(_hops).encode(), 0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})
    elif scope["type"] == "http":
        await _django(scope, receive, send)


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """Serve the same without hops, for there are none."""
    if environ["PATH_INFO"] == "/hops/":
        start_response("200 OK", [("Content-Length", "1")])
        return [b"0"]
    return _django_wsgi(environ, start_response)
