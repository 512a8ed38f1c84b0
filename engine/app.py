"""The HTTP application: routers in, pages beside them, and the headers every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import problems

PAGES = ("live", "wallet", "till", "docs")
# Nothing is fetched from anywhere else, and nobody frames us. Styles: OpenLayers sets some on elements.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sojourn</title>
<h1>The pages are not built</h1><p>Run <code>make setup</code> in the project's folder, then start again.</p></html>"""


class Headers:
    """Adds what every answer carries, without touching its body: streams pass through as they come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Content-Security-Policy", POLICY)
                if path.startswith("/assets/"):
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_app(routers: Iterable[APIRouter], pages: Path) -> FastAPI:
    """pages  the folder the build of the dashboards fills"""
    app = FastAPI(
        title="Sojourn",
        version="1",
        summary="Presence of members who opted in, coupons that follow a visit, and why.",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere; ours is among the pages
        redoc_url=None,
    )
    problems.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)

    app.add_middleware(Headers)
    for router in routers:
        app.include_router(router)
    _serve_pages(app, pages)
    return app


def _serve_pages(app: FastAPI, pages: Path) -> None:
    def page(name: str) -> Callable[[], Response]:
        file = pages / f"{name}.html"

        def answer() -> Response:
            return FileResponse(file) if file.exists() else HTMLResponse(UNBUILT, 503)

        return answer

    for path, name in [("/", "index"), *((f"/{name}", name) for name in PAGES)]:
        app.add_api_route(path, page(name), include_in_schema=False, response_model=None)
    if pages.is_dir():
        app.mount("/", StaticFiles(directory=pages))
