"""The providers' models for the catalogue. Imports the adapters when it is first asked."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from holdfast_daemon.models.catalogue import CatalogueEntry

if TYPE_CHECKING:
    from holdfast_daemon.models.providers import KnownModel
    from holdfast_daemon.models.sdk import Sdks


class ProviderSource:
    """Implements `ModelSource`. Its owner closes it when nothing streams any more.

    Args:
        environ: looked at for the names of key variables, and for keys at each request.
        base_urls: by a provider's name, checked.
        declared: gives the models people declared beside those that are known; may block.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        base_urls: Mapping[str, str],
        declared: "Callable[[], Iterable[KnownModel]]" = tuple,
    ) -> None:
        self._environ = environ
        self._base_urls = base_urls
        self._declared = declared
        self._sdks: Sdks | None = None  # Made when it is first needed.

    def entries(self) -> Iterable[CatalogueEntry]:
        """See `ModelSource.entries`: what providers have whose key is set, and what was declared."""
        from holdfast_daemon.models.providers import entry, provider_entries  # noqa: PLC0415 - on first use

        declared = (
            entry(known, self._shared(), environ=self._environ)
            for known in self._declared()
            if (variable := known.target.provider.key_variable) is None or self._environ.get(variable)
        )
        return (*provider_entries(self._shared(), self._environ, self._base_urls), *declared)

    def named(self, name: str) -> CatalogueEntry | None:
        """See `ModelSource.named`: `PROVIDER/MODEL` with any model of a provider there is."""
        from holdfast_daemon.models.providers import named_entry  # noqa: PLC0415 - on first use

        return named_entry(name, self._shared(), self._environ, self._base_urls)

    async def detect(self) -> Iterable[CatalogueEntry]:
        """See `ModelSource.detect`: the models of servers on this machine."""
        from holdfast_daemon.models.detect import detect_local  # noqa: PLC0415 - on first use
        from holdfast_daemon.models.providers import entry  # noqa: PLC0415 - on first use

        found = await detect_local(self._base_urls)
        return [entry(known, self._shared(), environ=self._environ) for known in found]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._sdks is not None:
            await self._sdks.aclose()

    def _shared(self) -> "Sdks":
        from holdfast_daemon.models.sdk import Sdks  # noqa: PLC0415 - on first use

        if self._sdks is None:
            self._sdks = Sdks()
        return self._sdks
