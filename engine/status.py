"""How the engine is doing, for operators: what it heard, refused and how far behind it is."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from engine.access import Access
from engine.links import Links


class SensorFault(BaseModel):
    sensor: str
    reason: str
    count: int


class SensorClock(BaseModel):
    sensor: str
    off_ms: int = Field(description="What is added to its times to put them right; negative where it is ahead")


class RadioFit(BaseModel):
    """The radio model as fitted to what sensors hear of each other; see engine.radio.Propagation."""

    fitted_ms: int = Field(description="Event time")
    at_1_m_dbm: float
    exponent: float
    floor_db: float
    detour_m: float
    spread_db: float


class Status(BaseModel):
    clock_ms: int
    reached_ms: int = Field(description="Event time, as far as sensors have told")
    lag_ms_max: int = Field(description="Longest delay, in real ms, from an observation to its round of ingest")
    connected: bool = Field(description="Whether the broker is there")
    sensors_silent: list[str]
    clocks_wrong: list[SensorClock] = Field(description="Sensors whose clocks are wrong; what they hear is put right")
    radio: RadioFit | None = Field(description="null while the usual model is gone by, as nothing was fitted yet")
    survey_points: int = Field(description="Points of the walked survey that the radio model is bent to; 0 without one")
    observations: int = Field(description="Rows taken in since the process started")
    fixes: int = Field(description="Positions taken from controllers since the process started")
    late_observations: int = Field(description="Rows of either that came after their second was closed")
    missing_batches: int = Field(description="Batches that sensors numbered and that never came")
    refused: list[SensorFault] = Field(description="Payloads refused; `repeat` among the reasons is no fault")


def radio_fit(links: Links) -> RadioFit | None:
    if links.fitted is None:
        return None
    numbers = {name: round(float(getattr(links.fitted, name)), 2) for name in links.fitted._fields[:5]}
    return RadioFit(fitted_ms=links.fitted_ms, **numbers)


def routes(access: Access, status: Callable[[], Status]) -> APIRouter:
    router = APIRouter(tags=["health"], dependencies=[Depends(access.operator)])

    @router.get("/v1/status", summary="What was heard, refused, and how far behind the engine is")
    def read_status() -> Status:
        return status()

    return router
