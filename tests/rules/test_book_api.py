"""The book over HTTP and on the command line: the same versions, and nobody but an operator."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from engine.__main__ import app
from engine.access import Access
from engine.app import create_app
from engine.clock import Pace, system_clock
from engine.plainly import CannotStart
from rules import book_api, tables
from rules.reading import version_of
from tests.promoting import ROOT, instant_ms

BOOK = (ROOT / "rules" / "book.yaml").read_text(encoding="utf-8")
OTHER = BOOK.replace("wait: 15m", "wait: 12m", 1)
DEARER = BOOK.replace("visit: 25000", "visit: 26000")


@pytest.fixture
def mall(open_story):
    return open_story(opens="09:00")


@pytest.fixture
def http(mall, tmp_path):
    access = Access(b"s" * 32)
    pace = Pace(system_clock(), instant_ms("09:30"), 1.0)
    router = book_api.routes(ledger=mall.ledger, mall=mall.mall, two_people=True, access=access, pace=pace, k=5)
    with TestClient(create_app([router], tmp_path / "none"), base_url="http://mall.test") as client:
        client.keys = {name: {"Authorization": f"Bearer {access.key('operator', name)}"} for name in ("kim", "lee")}
        client.keys["shop"] = {"Authorization": f"Bearer {access.key('shop', 'cafe-luna')}"}
        yield client


def ask(http, method: str, path: str, who: str = "kim", **body: object):
    return http.request(method, f"/v1/book{path}", headers=http.keys[who], json=body or None)


def drafted(http, text: str) -> str:
    return ask(http, "POST", "/drafts", text=text, note="less waiting").json()["version"]


def test_the_book_in_force_is_shown_with_who_published_it(http):
    answer = ask(http, "GET", "").json()
    assert (answer["text"], answer["publication"]["author"]) == (BOOK, "file")


def test_what_journeys_for_who_is_away_brought_is_an_operators_to_read(http):
    assert ask(http, "GET", "/brought").json() == []
    assert ask(http, "GET", "/brought", who="shop").status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("GET", "/schema"), ("GET", "/versions"), ("GET", "/publications"), ("POST", "/check"),
        ("POST", "/drafts"), ("POST", f"/versions/{version_of(BOOK)}/publish"), ("POST", "/rollback"),
    ],
)  # fmt: skip
def test_nobody_but_an_operator_may(http, method, path):
    assert ask(http, method, path, "shop", text="").status_code == 403


def test_a_text_is_checked_and_nothing_is_kept(http):
    answer = ask(http, "POST", "/check", text=BOOK.replace("present: 4m", "presnt: 4m", 1)).json()
    (finding,) = answer["findings"]
    assert (answer["readable"], finding["severity"], finding["line"]) == (False, "error", 141)
    assert len(ask(http, "GET", "/versions").json()) == 1


def test_a_draft_is_kept_with_its_author_note_and_findings(http):
    answer = ask(http, "POST", "/drafts", text=OTHER, note="less waiting", parent=version_of(BOOK)).json()
    kept = ask(http, "GET", f"/versions/{answer['version']}").json()
    assert (answer["findings"], kept["text"]) == ([], OTHER)
    assert (kept["version"]["author"], kept["version"]["note"]) == ("operator:kim", "less waiting")


def test_a_version_is_previewed_and_published_on_top_of_what_was_looked_at(http, mall):
    version = drafted(http, OTHER)
    seen = ask(http, "POST", f"/versions/{version}/preview", fates={}).json()
    assert [change["after"] for change in seen["changes"]] == ["12m"]
    done = ask(http, "POST", f"/versions/{version}/publish", on_top_of=seen["on_top_of"], note="go").json()
    assert (done["publication"]["number"], done["publication"]["note"]) == (2, "go")
    mall.hear()
    assert mall.promotion.book.version == version, "the engine takes it up by itself"


def test_a_version_that_may_spend_more_takes_two_operators(http):
    version = drafted(http, DEARER)
    assert ask(http, "POST", f"/versions/{version}/publish", note="more").json()["publication"] is None
    again = ask(http, "POST", f"/versions/{version}/publish", note="more")
    assert (again.status_code, again.json()["type"]) == (403, "/problems/needs-second")
    done = ask(http, "POST", f"/versions/{version}/publish", "lee", note="yes").json()["publication"]
    assert (done["author"], done["second"]) == ("operator:kim", "operator:lee")


def test_a_version_that_waits_is_withdrawn_by_anybody_and_stays_a_draft(http, mall):
    version = drafted(http, DEARER)
    ask(http, "POST", f"/versions/{version}/publish", note="dearer")
    assert ask(http, "POST", f"/versions/{version}/withdraw", "lee").status_code == 204
    (listed,) = [one for one in ask(http, "GET", "/versions").json() if one["version"] == version]
    assert (listed["waits"], listed["published"]) == (False, [])
    again = ask(http, "POST", f"/versions/{version}/withdraw", "lee")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/not-waiting")
    with mall.ledger.read() as tx:
        assert tx.execute(sa.select(tables.proposal.c.withdrawn_by)).scalar_one() == "operator:lee"


def test_a_version_withdrawn_and_proposed_again_waits_for_another_second_person(http):
    version = drafted(http, DEARER)
    for act in ("publish", "withdraw", "publish"):
        ask(http, "POST", f"/versions/{version}/{act}", note="dearer")
    assert ask(http, "POST", f"/versions/{version}/publish", note="x").status_code == 403
    second = ask(http, "POST", f"/versions/{version}/publish", "lee", note="x").json()["publication"]["second"]
    assert second == "operator:lee"


def test_a_version_is_rolled_back(http):
    ask(http, "POST", f"/versions/{drafted(http, OTHER)}/publish", note="go")
    assert ask(http, "POST", "/rollback", note="oops").json()["publication"]["version"] == version_of(BOOK)
    assert [one["note"] for one in ask(http, "GET", "/publications").json()] == ["", "go", "oops"]


def test_a_form_edits_a_value_and_the_comments_stay(http):
    edits = [{"act": "set", "path": "journeys/day-out/steps/0/wait", "value": "12m"}]
    version = ask(http, "POST", f"/versions/{version_of(BOOK)}/edits", edits=edits).json()["version"]
    kept = ask(http, "GET", f"/versions/{version}").json()
    assert (kept["text"], kept["version"]["parent"]) == (OTHER, version_of(BOOK))


def test_an_edit_that_makes_no_sense_is_refused(http):
    answer = ask(http, "POST", f"/versions/{version_of(BOOK)}/edits", edits=[{"act": "remove", "path": "x/y"}])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-editable")


def test_versions_are_compared(http):
    answer = ask(http, "GET", f"/versions/{drafted(http, OTHER)}/diff").json()
    assert [change["path"] for change in answer["changes"]] == ["journeys/day-out/steps/coffee/wait"]
    assert "+        wait: 12m" in answer["diff"].splitlines()


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/versions/000000000000", 404, "no-such-version"),
        ("POST", "/versions/000000000000/publish", 404, "no-such-version"),
        ("POST", f"/versions/{version_of(BOOK)}/publish", 409, "in-force"),
        ("POST", "/rollback", 409, "nothing-before"),
    ],
)
def test_what_cannot_be_done_is_a_problem_with_the_way_out(http, method, path, status, kind):
    answer = ask(http, method, path, note="x") if method == "POST" else ask(http, method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


def test_the_schema_offers_the_zones_of_this_mall(http, mall):
    assert ask(http, "GET", "/schema").json()["$defs"]["zone"]["enum"] == sorted(mall.mall.zones)


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture
def cli(mall, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SOJOURN_LEDGER_URL", str(mall.ledger.database.url))
    book = tmp_path / "new.yaml"
    book.write_text(OTHER, encoding="utf-8")

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(app, [word.replace("NEW", str(book)) for word in words])
        assert (result.exit_code != 0) == fails, result.output
        if isinstance(result.exception, CannotStart):
            return str(result.exception)
        return result.output

    run.book = book
    return run


def test_a_file_is_previewed_published_listed_and_rolled_back(cli):
    assert "journeys/day-out/steps/coffee/wait: \"15m\" -> \"12m\"" in cli("book", "preview", "NEW")  # fmt: skip
    assert "is in force, as publication 2" in cli("book", "publish", "NEW", "--by", "kim", "--note", "less waiting")
    assert "kim" in cli("book", "list") and cli("book", "show") == OTHER
    assert "+        wait: 15m" in cli("book", "diff", version_of(BOOK))
    assert f"{version_of(BOOK)} is in force, as publication 3" in cli("book", "rollback", "--by", "kim")


def test_the_list_says_who_put_a_version_in_force_and_why(cli):
    cli.book.write_text(DEARER, encoding="utf-8")
    cli("book", "publish", "NEW", "--by", "kim", "--note", "dearer")
    cli("book", "publish", "NEW", "--by", "lee")
    cli("book", "rollback", "--by", "lee", "--note", "too dear")
    told = [" ".join(line.split()[4:]) for line in cli("book", "list").splitlines() if "publication" in line]
    assert {"kim and lee dearer", "lee too dear"} <= set(told)


def test_what_is_neither_a_file_nor_a_version_is_told_as_such(cli):
    assert "no file new.yml" in cli("book", "draft", "new.yml", fails=True)
    assert "there is no version 1f3a" in cli("book", "preview", "1f3a", fails=True)


def test_what_does_not_differ_is_told_as_such(cli):
    assert cli("book", "diff", version_of(BOOK)) == "Nothing differs.\n"


def test_what_may_spend_more_waits_for_somebody_else(cli):
    cli.book.write_text(DEARER, encoding="utf-8")
    assert "a second person must publish it too" in cli("book", "publish", "NEW", "--by", "kim")
    assert "somebody else must publish it" in cli("book", "publish", "NEW", "--by", "kim", fails=True)
    assert "is in force" in cli("book", "publish", "NEW", "--by", "lee")


def test_members_on_their_way_are_moved_or_stopped_by_name(cli, mall):
    mall.arrives("ana")
    said = cli("book", "preview", "NEW", "--move", "day-out", "--rename", "day-out/coffee=browse")
    assert "day-out: 1 on their way, 0 hold an offer: move" in said
    assert "write it like day-out/coffee=espresso" in cli("book", "preview", "NEW", "--rename", "coffee", fails=True)
    assert "choose one of them" in cli("book", "preview", "NEW", "--move", "a", "--stop", "a", fails=True)


def test_what_waits_is_withdrawn(cli):
    cli.book.write_text(DEARER, encoding="utf-8")
    cli("book", "publish", "NEW", "--by", "kim")
    version = version_of(DEARER)
    assert "waits for a second person" in cli("book", "list")
    assert cli("book", "withdraw", version, "--by", "lee") == f"{version} waits for nobody any more.\n"
    assert "waits for a second person" not in cli("book", "list")
    assert "waits for nobody; list the versions" in cli("book", "withdraw", version, fails=True)


def test_values_are_edited_one_by_one_and_the_rest_stays_as_it_is(cli):
    *_, version = cli("book", "edit", "NEW", "--set", "limits/budget/visit=24000", "--note", "less").split()
    assert cli("book", "show", version) == OTHER.replace("visit: 25000", "visit: 24000")
    *_, version = cli("book", "edit", version, "--move", "journeys/birthday/steps/0=0").split()
    step = "{id: hello, try: [coffee], wait: 5m}"
    *_, version = cli("book", "edit", version, "--insert", f"journeys/day-out/steps/0={step}").split()
    text = cli("book", "show", version)
    assert text.index("id: hello") < text.index("id: coffee") and "visit: 24000" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say what with --set"),
        (("--set", "limits/quiet"), "see sojourn book edit --help"),
        (("--move", "journeys/day-out/steps/0=up"), "see sojourn book edit --help"),
        (
            (
                "--set",
                "limits/quiet=[",
            ),
            "--set limits/quiet=[",
        ),
        (("--remove", "nowhere/at/all"), "nowhere"),
    ],
)
def test_an_edit_on_the_command_line_that_makes_no_sense_is_refused_plainly(cli, words, says):
    assert says in cli("book", "edit", "NEW", *words, fails=True)


def test_a_draft_says_what_is_wrong_with_it(cli):
    cli.book.write_text(BOOK.replace("present: 4m", "presnt: 4m", 1), encoding="utf-8")
    assert "did you mean 'present'?" in cli("book", "draft", "NEW")
    assert "cannot be published" in cli("book", "publish", "NEW", fails=True)


def test_check_tells_warnings_and_ends_well(cli):
    cli.book.write_text(BOOK.replace("priority: 90", "priority: 50"), encoding="utf-8")
    assert "warning: " in cli("check", "NEW") and "All is well." in cli("check")


def test_check_ends_badly_on_an_error_and_speaks_json_too(cli):
    cli.book.write_text(BOOK.replace("cost: 300\n", "cost: 99000\n"), encoding="utf-8")
    found = json.loads(cli("check", "NEW", "--json", fails=True))
    assert next(finding["severity"] for finding in found["findings"]) == "error"


def test_the_schema_is_printed(cli):
    assert json.loads(cli("book", "schema"))["title"] == "Sojourn rule book"
