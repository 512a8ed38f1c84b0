"""Presence: readings to positions, zones, stays and visits; the ledger, live state and the API."""

import os

# Matrices here are small, and the other core has the crowd, the broker or the tills to serve: threads that wait for
# each other within a product cost more than they bring. It must be said before numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
