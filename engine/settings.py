"""Every knob: its unit, its bounds, its default and why it is that.

Read from sojourn.toml in the working folder (or the file named by SOJOURN_SETTINGS) and overridden by
environment variables SOJOURN_<NAME>. A test holds that each knob is described here and in the README.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.clock import REAL, Pace

# Names that begin like settings and are read elsewhere: the settings' own file, and what builds and tests use.
SETTINGS_FILE = "SOJOURN_SETTINGS"
NOT_SETTINGS = (SETTINGS_FILE, "SOJOURN_SHARED", "SOJOURN_SKIP_PAGES")
# The push services of the browsers there are.
SERVICES = (
    "fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com",
)  # fmt: skip


class Settings(BaseSettings):
    """How one engine runs. Whatever is not set has the default that the demo uses."""

    model_config = SettingsConfigDict(env_prefix="SOJOURN_", extra="forbid", frozen=True)

    data_folder: Path = Field(
        Path(".sojourn"), description="Where secrets, the embedded backends' files and spools live; back it up."
    )
    zones_path: Path = Field(
        Path("zones.geojson"), description="The mall: levels, zones, sensors, ways between floors."
    )
    book_path: Path = Field(Path("rules/book.yaml"), description="The rule book.")
    survey_path: Path | None = Field(
        None,
        description="A walked survey, as `sojourn survey` writes it: what sensors heard of a phone at known places.",
    )
    broker_url: str = Field(
        "embedded://",
        description="MQTT broker: embedded:// starts one on loopback, mqtt://[user:password@]host:port uses yours.",
    )
    live_url: str = Field(
        "embedded://", description="Live state: embedded:// starts Valkey on a socket, redis://host:port/0 uses yours."
    )
    ledger_url: str = Field(
        "",
        description="Ledger: sqlite:////path/to/file or postgresql://user@host/name; empty is SQLite in data_folder.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address to serve on. Loopback, until you put a TLS proxy in front and decide otherwise.",
    )
    port: int = Field(8420, ge=0, le=65_535, description="Port to serve on; 0 takes a free one.")
    k: int = Field(
        5, ge=2, le=100, description="No page shows fewer members than this together; 5 is the usual small-count floor."
    )
    frame_period_ms: int = Field(
        1_000,
        ge=500,
        le=60_000,
        description="How often pages get a new picture, in real ms; phones are not heard oftener.",
    )
    lateness_ms: int = Field(
        60_000,
        ge=1_000,
        le=3_600_000,
        description="A cause older than this (paced ms) fires no coupon: a late coupon is worse than none.",
    )
    round_ms: int = Field(
        50,
        ge=10,
        le=1_000,
        description="Shortest time between two rounds of ingest, in real ms: each costs a commit and delays a coupon.",
    )
    two_people: bool = Field(
        True,
        description="Whether a version of the book that may spend more waits until a second person publishes it too.",
    )
    push_contact: str = Field(
        "mailto:webmaster@localhost",
        description="Whom a push service may write to about our notifications (mailto: or https:); some insist on it.",
    )
    push_services: tuple[str, ...] = Field(
        SERVICES,
        description="Hosts of the push services that wallets may name; we send to no others, as we send from inside.",
    )
    messages_url: str = Field(
        "",
        description="One more channel, as an apprise URL with {address} in it; empty: there is none.",
    )
    controllers: tuple[str, ...] = Field(
        (),
        description="Names of Wi-Fi controllers whose positions are believed; what others publish as such is refused.",
    )
    pace: Pace = Field(
        REAL,
        description="The clock as [anchor_ms, started_ms, speed]: [0, 0, 1] is real time. The demo sets it.",
    )

    @field_validator("pace")
    @classmethod
    def _forwards(cls, pace: Pace) -> Pace:
        if not 0.1 <= pace.speed <= 600:
            raise ValueError("the clock's speed must lie between 0.1 and 600")
        return pace

    @property
    def ledger(self) -> str:
        """The ledger's URL, with the default filled in."""
        return self.ledger_url or f"sqlite:///{(self.data_folder / 'ledger.sqlite').absolute()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get(SETTINGS_FILE, "sojourn.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)
