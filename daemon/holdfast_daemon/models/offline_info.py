"""How the catalogue lists the offline model; what it is made of is imported when somebody uses it."""

from typing import Final

from holdfast_protocol.methods.catalogue import ModelInfo

PROVIDER: Final = "offline"
NAME: Final = "offline/rehearsal"

INFO: Final = ModelInfo(
    name=NAME,
    provider=PROVIDER,
    description="Not an AI: turns simple requests and YAML scripts into real tool calls. Deterministic.",
)
