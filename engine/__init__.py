"""Presence: readings to positions, zones, stays and visits; the ledger, live state and the API."""
