"""Usage by class, from each vendor's own counting. Pure.

Anthropic's input classes are disjoint, those of the others are parts of the input; reasoning is a part of the
output everywhere. Figures that come more than once in a stream are running totals: the last one counts.
"""

import msgspec

from holdfast_protocol.events import Usage


class CacheCreation(msgspec.Struct):
    """Anthropic's writes to the cache, by how long they are kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """What of the output was thinking; Anthropic and OpenAI name it differently."""

    thinking_tokens: int | None = None
    reasoning_tokens: int | None = None


class AnthropicUsage(msgspec.Struct):
    """At the start of a message with all members, later with some of them, as running totals."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None


class InputDetails(msgspec.Struct):
    """What of the input came from the cache, and what went into it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    """Of Chat Completions. DeepSeek says hits and misses, which make up the prompt, instead of details."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class ResponsesUsage(msgspec.Struct):
    """Of Responses."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


def latest(before: AnthropicUsage, now: AnthropicUsage) -> AnthropicUsage:
    """Let what is said now take the place of what was said before, member by member."""
    said = {name: getattr(now, name) for name in now.__struct_fields__ if getattr(now, name) is not None}
    return msgspec.structs.replace(before, **said)


def anthropic_usage(said: AnthropicUsage) -> Usage:
    """Give the classes. Without a split by time, what was written to the cache is kept for 5 minutes."""
    split = said.cache_creation or CacheCreation()
    written_1h = _count(split.ephemeral_1h_input_tokens)
    written = max(
        _count(said.cache_creation_input_tokens), written_1h + _count(split.ephemeral_5m_input_tokens)
    )
    details = said.output_tokens_details or OutputDetails()
    return Usage(
        input=_count(said.input_tokens),
        cache_read=_count(said.cache_read_input_tokens),
        cache_write_5m=written - written_1h,
        cache_write_1h=written_1h,
        output=_count(said.output_tokens),
        reasoning=min(_count(details.thinking_tokens), _count(said.output_tokens)),
    )


def chat_usage(said: ChatUsage) -> Usage:
    """Give the classes; DeepSeek and Moonshot name what was cached outside the details."""
    details = said.prompt_tokens_details or InputDetails()
    cached = details.cached_tokens
    if cached is None:
        cached = said.cached_tokens if said.prompt_cache_hit_tokens is None else said.prompt_cache_hit_tokens
    inclusive = InputDetails(cached_tokens=cached, cache_write_tokens=details.cache_write_tokens)
    return _inclusive(said.prompt_tokens, inclusive, said.completion_tokens, said.completion_tokens_details)


def responses_usage(said: ResponsesUsage) -> Usage:
    """Give the classes."""
    details = said.input_tokens_details or InputDetails()
    return _inclusive(said.input_tokens, details, said.output_tokens, said.output_tokens_details)


def estimated_usage(output_chars: int) -> Usage:
    """Estimate what a provider does not say: four characters are a token, roughly. Input stays unknown."""
    return Usage(output=(output_chars + 3) // 4, estimated=True)


def _inclusive(
    prompt: int | None, inputs: InputDetails, output: int | None, outputs: OutputDetails | None
) -> Usage:
    """Take the parts out of an input that includes them; a part is never more than the whole."""
    total = _count(prompt)
    read = min(_count(inputs.cached_tokens), total)
    written = min(_count(inputs.cache_write_tokens), total - read)
    reasoning = _count((outputs or OutputDetails()).reasoning_tokens)
    return Usage(
        input=total - read - written,
        cache_read=read,
        cache_write_5m=written,  # OpenAI keeps it for longer, at the one price it has.
        output=_count(output),
        reasoning=min(reasoning, _count(output)),
    )


def _count(said: int | None) -> int:
    return max(0, said or 0)
