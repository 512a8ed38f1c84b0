"""Whatever is sent to the whole API, by its document or against it: an answer, and never a fault of ours.

A few requests for each route here; `make fuzz` sends many.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from engine.access import Access
from engine.keys import Keys
from engine.serve import build
from engine.settings import Settings
from tests.conftest import ROOT

EXAMPLES = int(os.environ.get("SOJOURN_FUZZ", "4"))
# Streams go on for as long as their page is open; what they send, other routes answer once.
STREAMS = {"/v1/live", "/v1/wallet/stream"}
CALLERS = (("operator", "demo"), ("shop", "cafe-luna"), ("member", 1))
DOCUMENT = json.loads((ROOT / "dashboards" / "openapi.json").read_text())
ROUTES = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods if path not in STREAMS]


@pytest.fixture(scope="module")
def site(tmp_path_factory, valkey_url):
    """The real application over a fresh ledger; its broker is away, which no route may mind."""
    folder = tmp_path_factory.mktemp("fuzz")
    with ExitStack() as stack:
        _, app = build(Settings(data_folder=folder, live_url=valkey_url, broker_url="mqtt://127.0.0.1:1"), stack)
        access = Access(Keys.read_or_make(folder, bytes).access)
        keys = [access.key(role, who) for role, who in CALLERS]
        yield schemathesis.openapi.from_asgi("/openapi.json", app), [*keys, "nobody's"]


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_no_request_is_a_fault_of_ours(site, path, method):
    api, keys = site
    operation = api[path][method]
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @given(case=st.one_of(right, wrong) if operation.body or list(operation.iter_parameters()) else right)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        for key in keys:
            answer = case.call(headers={"Authorization": f"Bearer {key}"})
            # 503 is what a readiness probe says while the broker is away.
            assert answer.status_code < 500 or path == "/readyz", answer.text

    ask()
