"""Makes and ends tokens: in the store, among those that are let in, and on the connections that use them."""

from collections.abc import Callable
from secrets import token_hex

from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.store import TokenRow
from holdfast_daemon.net.auth import Tokens, digest_of, new_secret
from holdfast_protocol.capabilities import Role
from holdfast_protocol.errors import Overloaded
from holdfast_protocol.methods.daemon import TokenCreateResult, TokenInfo

TOKENS_MAX = 1000


class StoredTokens:
    """All tokens but the owner's. Implements `methods.services.TokenAuthority`.

    Args:
        journal: keeps them.
        tokens: lets them in.
    """

    def __init__(self, journal: Journal, tokens: Tokens) -> None:
        self._journal = journal
        self._tokens = tokens
        self._rows: dict[str, TokenRow] = {}
        self._revoked: set[str] = set()  # Not let in any more, and still in the store.
        self._close: Callable[[str], int] = lambda _token_id: 0

    async def load(self) -> None:
        """Read them from the store."""
        for row in await self._journal.query(self._journal.store.tokens):
            self._enter(row)

    def closing(self, close: Callable[[str], int]) -> None:
        """Say who closes a token's connections and counts them."""
        self._close = close

    async def create(self, name: str, role: Role) -> TokenCreateResult:
        """See `TokenAuthority.create`.

        Raises:
            Overloaded: there are too many.
        """
        if len(self._rows) >= TOKENS_MAX:
            raise Overloaded("Too many tokens.", limit="tokens_max", limit_value=TOKENS_MAX)
        secret = new_secret()
        row = TokenRow(f"token-{token_hex(6)}", name, role, digest_of(secret), self._journal.now())
        await self._journal.execute(self._journal.store.insert_token, row)
        self._enter(row)
        return TokenCreateResult(token=secret, info=_info(row))

    def list(self) -> tuple[TokenInfo, ...]:
        """See `TokenAuthority.list`."""
        return tuple(_info(row) for row in self._rows.values() if row.token not in self._revoked)

    async def revoke(self, token_id: str) -> int | None:
        """See `TokenAuthority.revoke`. It is let in no more before the store knows."""
        if token_id not in self._rows:
            return None
        self._revoked.add(token_id)
        self._tokens.remove(token_id)
        closed = self._close(token_id)
        # If the disk refuses, the caller is told, and may ask again: it would be let in after a restart.
        await self._journal.execute(self._journal.store.remove_token, token_id)
        self._rows.pop(token_id, None)
        self._revoked.discard(token_id)
        return closed

    def _enter(self, row: TokenRow) -> None:
        self._rows[row.token] = row
        self._tokens.add(row.token, row.role, row.digest)


def _info(row: TokenRow) -> TokenInfo:
    return TokenInfo(token_id=row.token, name=row.name, role=row.role, created_at=row.at)
