"""The radio fitted to what sensors hear of each other, beside the air of made-up malls, which is known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.radio import PHONE_FAINTER_DB, fit
from tests.accuracy.air import AT_1_M_DBM, LOSS_EXPONENT
from tests.accuracy.scenarios import SIMULATED
from tests.accuracy.simulator import LOUDER_DB, simulate

FAR_M = 30.0


@pytest.mark.parametrize("name", ["base", "harsh"])
def test_a_radio_fitted_to_links_is_right_within_1_5_db_at_30_m(name: str) -> None:
    world = simulate(7001, SIMULATED[name].conditions, people=1, seconds=60)
    sensors = len(world.plan.sensors)
    fitted = fit(world.plan, world.links)
    told_dbm = fitted.mean_dbm(np.full((sensors, 1), FAR_M), np.zeros((1, 1), np.int64)).mean() + PHONE_FAINTER_DB
    true_dbm = AT_1_M_DBM + LOUDER_DB - 10 * LOSS_EXPONENT * np.log10(FAR_M)
    assert abs(told_dbm - true_dbm) < 1.5
