"""What an HTTP caller is told when the answer is no: RFC 9457 problem documents."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

TYPES = "/problems/"
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A no with a stable type, for a person: *detail* names the fact and the way out."""

    def __init__(
        self,
        type: str,
        status: int,
        title: str,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        **extra: object,
    ) -> None:
        super().__init__(f"{type}: {detail or title}")
        self.type, self.status, self.title, self.detail, self.headers, self.extra = (
            type,
            status,
            title,
            detail,
            headers or {},
            extra,
        )

    def body(self) -> dict[str, object]:
        return {
            "type": TYPES + self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        } | self.extra


def not_signed_in() -> Problem:
    return Problem("not-signed-in", 401, "Sign in first", "Send a key to POST /v1/session, or as a Bearer token.")


def not_allowed(needs: str) -> Problem:
    return Problem("not-allowed", 403, "Not with this key", f"This needs the key of {needs}.")


def answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body(), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every refusal, ours and the framework's, with a problem document."""

    @app.exception_handler(Problem)
    def ours(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, Problem)
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, RequestValidationError)
        # Values are left out: a mistyped code or key must not come back in a log or a page.
        errors = [{"at": "/".join(map(str, e["loc"])), "message": e["msg"]} for e in problem.errors()]
        return answer(
            Problem("malformed-request", 422, "The request is not as documented", errors[0]["message"], errors=errors)
        )

    @app.exception_handler(HTTPException)
    def framework(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, HTTPException)
        kind = {404: "no-such-page", 405: "method-not-allowed"}.get(problem.status_code, "refused")
        return answer(Problem(kind, problem.status_code, str(problem.detail), headers=dict(problem.headers or {})))
