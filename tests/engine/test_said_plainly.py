"""What a person can put right ends as one line that names it, and exit code 2."""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.events import PresenceEvent
from engine.ledger import open_ledger
from tests.conftest import ROOT
from tests.servers import free_port


class Shell:
    """Types commands in the project's folder, with variables of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, screen: pytest.CaptureFixture[str]) -> None:
        self._patch, self._screen = patch, screen

    def refused(self, *command: str, **variables: str) -> str:
        """The one line that the command ends with."""
        self._patch.setattr(sys, "argv", ["sojourn", *command])
        for name, value in variables.items():
            self._patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._screen.readouterr().err
        assert (ended.value.code, len(said.splitlines()), said[:9]) == (2, 1, "sojourn: "), said
        return said


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_log: None) -> Shell:
    monkeypatch.chdir(ROOT)
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("name", "url", "says"),
    [
        ("BROKER_URL", "foo://x", "must start with one of embedded://, mqtt://"),
        ("LIVE_URL", "foo://x", "must start with one of embedded://, redis://"),
        ("LEDGER_URL", "foo://x", "must look like sqlite:////path"),
        ("LEDGER_URL", "mysql://root@host/name", "must look like sqlite:////path"),
        ("LEDGER_URL", "sqlite:////no/such/folder/x.sqlite", "unable to open database file"),
    ],
)
def test_a_backend_that_cannot_be(shell: Shell, tmp_path: Path, name: str, url: str, says: str) -> None:
    # Named, so that nothing is started for it.
    others = {"SOJOURN_BROKER_URL": "mqtt://127.0.0.1:1", "SOJOURN_LIVE_URL": "redis://127.0.0.1:1/0"}
    command = ("serve", "--port", "0", "--data", str(tmp_path))
    assert says in shell.refused(*command, **others | {f"SOJOURN_{name}": url})


def test_a_postgresql_that_is_not_there_without_its_password(shell: Shell, tmp_path: Path) -> None:
    url = f"postgresql://ana:secret@127.0.0.1:{free_port()}/mall"
    others = {"SOJOURN_BROKER_URL": "mqtt://127.0.0.1:1", "SOJOURN_LIVE_URL": "redis://127.0.0.1:1/0"}
    said = shell.refused("serve", "--port", "0", "--data", str(tmp_path), SOJOURN_LEDGER_URL=url, **others)
    assert ("ana" in said, "secret" in said) == (True, False)


def test_a_ledger_that_is_no_database(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("not a database " * 100)
    assert "file is not a database" in shell.refused("explain", "ana", "--data", str(tmp_path))


def test_a_ledger_of_a_newer_version(shell: Shell, tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent)
    with ledger.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ledger.close()
    assert "9999" in shell.refused("explain", "ana", "--data", str(tmp_path))


def test_a_damaged_master_key(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("zz\n")
    assert "restore it from a backup" in shell.refused("key", "operator", "demo", "--data", str(tmp_path))


@pytest.mark.parametrize(
    ("content", "says"),
    [("port = = 3\n", "line 1"), ("prot = 3\n", "SOJOURN_PROT"), ("port = 70000\n", "SOJOURN_PORT")],
)
def test_a_settings_file_with_a_mistake(shell: Shell, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "sojourn.toml").write_text(content)
    assert says in shell.refused("check", SOJOURN_SETTINGS=str(tmp_path / "sojourn.toml"))


def test_a_settings_file_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    assert "nowhere.toml" in shell.refused("check", SOJOURN_SETTINGS=str(tmp_path / "nowhere.toml"))


def test_a_variable_that_is_no_setting(shell: Shell) -> None:
    assert "did you mean 'SOJOURN_PORT'?" in shell.refused("check", SOJOURN_PROT="1")


@pytest.mark.parametrize("name", ["SOJOURN_ZONES_PATH", "SOJOURN_BOOK_PATH"])
@pytest.mark.parametrize("what", ["nothing", "folder", "bytes"])
def test_a_map_or_a_book_that_is_none(shell: Shell, tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xd0 ")
    assert str(tmp_path / what) in shell.refused("check", **{name: str(tmp_path / what)})


@pytest.mark.parametrize(
    ("what", "says"), [("nothing", "no survey at "), ("folder", "no survey at "), ("bytes", "is not UTF-8")]
)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_survey_that_is_none(shell: Shell, tmp_path: Path, command: str, what: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xd0 ")
    data = ("--port", "0", "--data", str(tmp_path)) if command == "serve" else ()
    assert says in shell.refused(command, *data, SOJOURN_SURVEY_PATH=str(tmp_path / what))


@pytest.mark.parametrize("keys", ["nothing", "folder", "bytes"])
def test_sensor_keys_that_are_none(shell: Shell, tmp_path: Path, keys: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xd0 ")
    assert "copy sensor.key" in shell.refused("sensor", "--interface", "wlan9", "--keys", str(tmp_path / keys))


def test_a_link_for_no_shop_of_no_month_or_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent).close()
    assert "did you mean 'cafe-luna'?" in shell.refused("invitation", "make", "cafe-lune", *data)
    assert "no live link 'x'" in shell.refused("invitation", "revoke", "x", *data)
    assert "write it like 2026-11" in shell.refused("credit", "--month", "november", *data)


# A fixed time inside, or each worker would collect a test of another name.
ZIPPED_TWICE = gzip.compress(gzip.compress(b"twice", mtime=0), mtime=0)


@pytest.mark.parametrize("content", [b"", b"GIF89a", ZIPPED_TWICE], ids=["empty", "picture", "zipped-twice"])
def test_a_file_that_is_no_capture(shell: Shell, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.cap").write_bytes(content)
    assert "is no capture" in shell.refused("sensor", "--dry-run", "--json", "--pcap", str(tmp_path / "some.cap"))


def test_a_layout_the_recording_does_not_have(shell: Shell, shared: Path) -> None:
    assert "no layout 13" in shell.refused("replay", str(shared / "mall-site1"), "--layout", "13")


def test_a_recording_with_files_missing(shell: Shell, shared: Path, tmp_path: Path) -> None:
    shutil.copy(shared / "mall-site1" / "scans.csv.xz", tmp_path)
    assert "sensor_layouts.csv" in shell.refused("replay", str(tmp_path))
    shutil.copy(shared / "mall-site1" / "sensor_layouts.csv", tmp_path)
    assert "no floor maps" in shell.refused("replay", str(tmp_path))


@pytest.mark.parametrize(
    ("role", "subject", "says"),
    [
        ("shop", "cafe-lune", "did you mean 'cafe-luna'?"),
        ("operator", "kim lee", "use letters, digits and . _ - only"),
        ("member", "abc", "no member 'abc'"),
        ("boss", "x", "choose one of operator, shop, member"),
    ],
)
def test_a_key_for_nobody(shell: Shell, tmp_path: Path, role: str, subject: str, says: str) -> None:
    open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent).close()
    assert says in shell.refused("key", role, subject, "--data", str(tmp_path))


@pytest.mark.parametrize(
    "command",
    [
        ("switch", "mall", "--off"),
        ("settlement", "--shop", "cafe-luna"),
        ("import", "members", "members.csv"),
        ("invitation", "make", "cafe-luna"),
        ("credit",),
        ("coupon", "show", "x"),
        ("book", "list"),
        ("explain", "ana"),
    ],
    ids=" ".join,
)
def test_a_mistyped_data_folder_does_not_become_a_mall(shell: Shell, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert "name the engine's data folder" in shell.refused(*command, "--data", str(tmp_path / "dta"))
    assert not (tmp_path / "dta").exists()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("settlement", "--shop", "cafe-lune"), "did you mean 'cafe-luna'?"),
        (("settlement", "--funder", "grain-and-oi"), "did you mean 'grain-and-oil'?"),
        (("settlement", "--shop", "cafe-luna", "--day", "1.12.2026"), "write it like 2026-11-21"),
        (("settlement",), "name either --shop or --funder"),
        (("credit", "--shop", "cafe-lune"), "did you mean 'cafe-luna'?"),
        (("invitation", "list", "--shop", "cafe-lune"), "did you mean 'cafe-luna'?"),
    ],
)
def test_a_table_of_nobody_is_refused_rather_than_empty(
    shell: Shell, tmp_path: Path, command: tuple[str, ...], says: str
) -> None:
    open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent).close()
    assert says in shell.refused(*command, "--data", str(tmp_path))
