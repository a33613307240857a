"""The directories people trusted, in the store."""

from collections.abc import Iterable

from holdfast_daemon.extensions.trust import TrustedDirectory
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.store import TrustRow


class StoredTrust:
    """Implements `extensions.trust.TrustTable`.

    Args:
        journal: keeps them.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def directories(self) -> Iterable[TrustedDirectory]:
        """See `TrustTable.directories`."""
        rows = await self._journal.query(self._journal.store.trusted)
        return [TrustedDirectory(path=row.path, trusted_at=row.at / 1000) for row in rows]

    async def add(self, directory: TrustedDirectory) -> None:
        """See `TrustTable.add`."""
        row = TrustRow(directory.path, int(directory.trusted_at * 1000))
        await self._journal.execute(self._journal.store.insert_trust, row)

    async def remove(self, path: str) -> bool:
        """See `TrustTable.remove`."""
        return await self._journal.execute(self._journal.store.remove_trust, path)
