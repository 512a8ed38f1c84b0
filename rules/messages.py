"""Whatever else a mall uses to reach members, as one URL: apprise knows a hundred services."""

from __future__ import annotations

from urllib.parse import quote

import apprise

from rules.parcel import NoTemplate, Outcome, Parcel

PLACE = "{address}"


class Messages:
    """Sends parcels by one apprise URL with {address} in it; its instances are Posts, called by several threads."""

    def __init__(self, template: str) -> None:
        if PLACE not in template or not apprise.Apprise().add(template.replace(PLACE, "10000000000")):
            raise NoTemplate(f"SOJOURN_MESSAGES_URL must be a URL that apprise understands, with {PLACE} in it")
        self._template = template

    def __call__(self, parcel: Parcel, now_ms: int) -> Outcome:
        """Send to every address of the member; accepted if one was. apprise does not say why not."""
        title, body = parcel.words
        sent = [
            self._send(reach.address.endpoint, title, f"{body}\n{reach.address.origin}/wallet")
            for reach in parcel.reaches
        ]
        return Outcome("accepted") if any(sent) else Outcome("later", "not-accepted")

    def _send(self, address: str, title: str, body: str) -> bool:
        service = apprise.Apprise()
        # Quoted whole, so that an address cannot add to the URL.
        service.add(self._template.replace(PLACE, quote(address, safe="")))
        return bool(service.notify(title=title, body=body))
