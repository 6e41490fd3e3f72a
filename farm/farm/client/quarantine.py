"""The quarantine as a service sees it: jobs whose records cannot be read, and what may be done with them."""

from farm.store.connection import readable_errors
from farm.store.quarantine import LetOut, Quarantined, QuarantinedRecord, QuarantineStore


class Quarantine:
    """The quarantine of one farm. Nothing of a job is decoded. Raises RedisError when Redis does not answer."""

    def __init__(self, store: QuarantineStore, url: str) -> None:
        """Made by Client. `url` is for messages."""
        self._store = store
        self._url = url

    def entries(self, limit: int = 100) -> list[Quarantined]:
        """The jobs in it with their reasons, the latest first."""
        with readable_errors(self._url):
            return self._store.entries(limit)

    def record(self, job_id: str) -> QuarantinedRecord:
        """One of them with the raw fields of its record, each cut to 200 bytes. Raises JobNotFound."""
        with readable_errors(self._url):
            return self._store.record(job_id)

    def requeue(self, *job_ids: str) -> list[LetOut]:
        """Puts those back whose records can be read by now: at the heads of their queues, in this order.

        One answer for each. Those that still cannot be read stay, with the reason that holds now.
        """
        with readable_errors(self._url):
            return self._store.requeue(job_ids)

    def drop(self, *job_ids: str) -> list[LetOut]:
        """Deletes them for good. One that runs, has ended or waits in its queue by now is kept, and only let out."""
        with readable_errors(self._url):
            return self._store.drop(job_ids)
