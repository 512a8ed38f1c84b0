"""The ledger's schema, brought up to date by migrations that both databases understand.

To change a table, edit it where it is declared; then `sojourn migration "Say what changed"` writes the draft of a
migration, to be read and mended. A test holds that migrations and declarations agree.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from engine.tables import metadata

MIGRATIONS = Path(__file__).with_name("migrations")


def _config(**attributes: Any) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(database: sa.Engine) -> None:
    """Bring a database, new or old, to the newest schema, in one transaction."""
    with database.connect().execution_options(transaction="writes") as connection, connection.begin():
        if MigrationContext.configure(connection).get_current_revision() != _newest():
            command.upgrade(_config(connection=connection), "head")


def draft(database: sa.Engine, says: str) -> Path:
    """Write the migration that would give the upgraded *database* what the declared tables have and it has not."""
    number = f"{len(list((MIGRATIONS / 'versions').glob('*.py'))) + 1:04d}"
    with database.connect().execution_options(transaction="writes") as connection, connection.begin():
        command.revision(_config(connection=connection), says, autogenerate=True, rev_id=number)
    return next((MIGRATIONS / "versions").glob(f"{number}_*.py"))


def differences(database: sa.Engine) -> list[Any]:
    """What declared tables and those of an upgraded database do not share; as Alembic tells it."""
    with database.connect() as connection, connection.begin():
        return list(compare_metadata(MigrationContext.configure(connection), metadata))
