"""Who may call what: keys that carry a role and a subject, and the session cookie that carries a key.

A key is `role.subject.signature`, signed with the site's access key: nothing is stored, and a page or a
till holds nothing that could be read out of the ledger.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from engine.keys import ROLES, Role, access_key
from engine.problems import Problem, not_allowed, not_signed_in

# One cookie for each role, so that one browser may show the live page, a wallet and a till beside each other.
COOKIES: dict[Role, str] = {role: f"sojourn-{role}" for role in ROLES}
# A signed-in page changes something only with a request that a foreign page cannot make a browser send.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Caller(NamedTuple):
    role: Role
    subject: str


class SignIn(BaseModel):
    key: str = Field(max_length=200, description="An access key, as printed by the demo or handed out by an operator")


class Session(BaseModel):
    role: Role
    subject: str = Field(description="The shop or the member the key is for; an operator's name")
    name: dict[str, str] | None = Field(None, description="What the shop is called, by language")


class Access:
    """Makes keys and checks them; its methods operator, shop and member are FastAPI dependencies."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, role: Role, subject: str | int) -> str:
        return access_key(self._secret, role, subject)

    def caller(self, key: str) -> Caller:
        """Whose key this is. Raises Problem 401."""
        role, _, rest = key.partition(".")
        subject, _, _ = rest.rpartition(".")
        for known in ROLES:
            if role == known and subject and hmac.compare_digest(self.key(known, subject).encode(), key.encode()):
                return Caller(known, subject)
        raise not_signed_in()

    def of(self, request: Request, role: Role | None = None) -> Caller:
        """The caller of a request, by Bearer key or session cookie (of *role*, if given). Raises Problem 401, 403."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.caller(bearer.strip())
        origin = request.headers.get("origin")
        if request.method not in SAFE_METHODS and origin and origin.partition("://")[2] != request.headers.get("host"):
            raise Problem("foreign-origin", 403, "Not from another site", "Use the pages of this server.")
        held = (request.cookies.get(COOKIES[one], "") for one in ((role,) if role else ROLES))
        return self.caller(next(filter(None, held), ""))

    def operator(self, request: Request) -> str:
        return self._subject(request, "operator")

    def shop(self, request: Request) -> str:
        return self._subject(request, "shop")

    def member(self, request: Request) -> int:
        return int(self._subject(request, "member"))

    def _subject(self, request: Request, role: Role) -> str:
        caller = self.of(request, role)
        if caller.role != role:
            raise not_allowed({"operator": "an operator", "shop": "a shop", "member": "a member"}[role])
        return caller.subject

    def routes(self, *, shops: Mapping[str, dict[str, str]]) -> APIRouter:
        """shops  what each is called, by language"""

        def session(caller: Caller) -> Session:
            name = shops.get(caller.subject) if caller.role == "shop" else None
            return Session(role=caller.role, subject=caller.subject, name=name)

        router = APIRouter(prefix="/v1/session", tags=["session"])

        @router.post("", summary="Sign in with a key")
        def sign_in(body: SignIn, request: Request, response: Response) -> Session:
            caller = self.caller(body.key)
            response.set_cookie(
                COOKIES[caller.role],
                body.key,
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
                max_age=30 * 86_400,
            )
            return session(caller)

        @router.get("", summary="Who is signed in")
        def who(request: Request, role: Role | None = None) -> Session:
            return session(self.of(request, role))

        @router.delete("", status_code=204, summary="Sign out")
        def sign_out(response: Response, role: Role | None = None) -> None:
            for one in (role,) if role else ROLES:
                response.delete_cookie(COOKIES[one])

        return router
