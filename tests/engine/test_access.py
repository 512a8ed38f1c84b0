"""Keys and sessions."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from engine import problems
from engine.access import Access


@pytest.fixture
def access() -> Access:
    return Access(b"secret")


@pytest.fixture
def client(access: Access) -> TestClient:
    app = FastAPI()
    problems.install(app)
    app.include_router(access.routes(shops={"cafe-luna": {"en": "Café Luna", "zh-Hans": "月光咖啡"}}))

    @app.post("/spend")
    def spend(shop: str = Depends(access.shop)) -> str:
        return shop

    return TestClient(app)


def test_a_key_says_whose_it_is(access: Access) -> None:
    assert access.caller(access.key("shop", "cafe-luna")) == ("shop", "cafe-luna")


@pytest.mark.parametrize(
    "forged", ["", "shop", "shop.cafe-luna", "shop.cafe-luna.", "operator.demo.aaaa", "shop..x", "é.é.é"]
)
def test_a_forged_key_is_nobodys(access: Access, forged: str) -> None:
    with pytest.raises(problems.Problem) as refused:
        access.caller(forged)
    assert refused.value.status == 401


def test_a_key_for_one_shop_is_none_for_another(access: Access) -> None:
    signature = access.key("shop", "cafe-luna").rpartition(".")[2]
    with pytest.raises(problems.Problem):
        access.caller(f"shop.noodle-hut.{signature}")


def test_a_bearer_key_opens_what_its_role_may(access: Access, client: TestClient) -> None:
    answer = client.post("/spend", headers={"Authorization": f"Bearer {access.key('shop', 'cafe-luna')}"})
    assert (answer.status_code, answer.json()) == (200, "cafe-luna")


def test_a_key_of_another_role_is_refused(access: Access, client: TestClient) -> None:
    answer = client.post("/spend", headers={"Authorization": f"Bearer {access.key('member', 1)}"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")


def test_a_session_cookie_stands_for_the_key(access: Access, client: TestClient) -> None:
    client.post("/v1/session", json={"key": access.key("shop", "cafe-luna")})
    assert client.post("/spend").json() == "cafe-luna"


def test_the_session_cookie_is_out_of_reach_of_scripts_and_foreign_pages(access: Access, client: TestClient) -> None:
    cookie = client.post("/v1/session", json={"key": access.key("shop", "x")}).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie


def test_a_foreign_page_cannot_spend_with_the_session(access: Access, client: TestClient) -> None:
    client.post("/v1/session", json={"key": access.key("shop", "cafe-luna")})
    assert client.post("/spend", headers={"Origin": "https://elsewhere.example"}).status_code == 403


def test_signing_out_ends_the_session(access: Access, client: TestClient) -> None:
    client.post("/v1/session", json={"key": access.key("shop", "cafe-luna")})
    client.delete("/v1/session")
    assert client.get("/v1/session").status_code == 401


def test_one_browser_may_hold_a_session_of_each_role(access: Access, client: TestClient) -> None:
    for role, subject in (("shop", "cafe-luna"), ("member", "1")):
        client.post("/v1/session", json={"key": access.key(role, subject)})
    assert client.post("/spend").json() == "cafe-luna"
    client.delete("/v1/session", params={"role": "shop"})
    assert client.get("/v1/session", params={"role": "member"}).json() == {
        "role": "member",
        "subject": "1",
        "name": None,
    }
    assert client.post("/spend").status_code == 401


def test_a_refusal_is_a_problem_document(client: TestClient) -> None:
    answer = client.post("/spend")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_a_malformed_request_names_the_place_but_repeats_no_value(client: TestClient) -> None:
    answer = client.post("/v1/session", json={"key": ["very-secret"]})
    assert answer.status_code == 422 and "very-secret" not in answer.text
    assert answer.json()["errors"][0]["at"] == "body/key"


def test_a_shops_session_says_what_the_shop_is_called(access: Access, client: TestClient) -> None:
    def name(key: str) -> object:
        return client.post("/v1/session", json={"key": key}).json()["name"]

    called = {"en": "Café Luna", "zh-Hans": "月光咖啡"}
    assert [name(access.key("shop", "cafe-luna")), name(access.key("member", 1))] == [called, None]
