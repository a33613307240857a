"""Events on the wire: one closed union, tolerant of newer daemons (PROTOCOL.md, "Events")."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import of

from holdfast_protocol import events

every_type = pytest.mark.parametrize("kind", events.EVENT_TYPES, ids=lambda kind: kind.__name__)


@every_type
@settings(max_examples=40)  # times the number of types
@given(data=st.data())
def test_an_event_of_every_type_comes_back_as_it_was(kind, data):
    event = data.draw(of(kind))
    body = msgspec.json.encode(event)
    plain = msgspec.json.decode(body)
    assert (plain["type"], plain["seq"], plain["at"]) == (events.type_of(event), event.seq, event.at)
    assert events.decode(body) == event
    assert events.convert(plain) == event
    assert msgspec.json.encode(events.decode(body)) == body


@every_type
def test_a_tag_is_its_types_name_in_snake_case(kind):
    tag = kind.__struct_config__.tag
    assert tag == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert events.TAGS[tag] is kind


@every_type
def test_members_are_in_camel_case_and_have_no_alias_by_accident(kind):
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9]*", name) for name in names)
    assert len(set(names)) == len(names)


@every_type
def test_an_event_cannot_be_changed(kind):
    assert kind.__struct_config__.frozen


def test_a_delta_on_the_wire_says_only_what_is_new():
    event = events.TokenDelta(seq=3, at=7, run_id="r", block_id="b", offset=0, text="x")
    assert msgspec.json.encode(event) == (
        b'{"type":"token_delta","seq":3,"at":7,"runId":"r","blockId":"b","offset":0,"text":"x"}'
    )


def test_terminal_events_and_deltas_are_named_by_their_tags():
    assert {kind.__struct_config__.tag for kind in events.Terminal.__args__} == events.TERMINAL_TAGS
    assert {kind.__struct_config__.tag for kind in events.Delta.__args__} == events.DELTA_TAGS


@given(
    of(events.UnknownEvent).filter(lambda event: event.type not in events.TAGS),
    st.dictionaries(st.text(), st.integers()),
)
def test_an_event_of_a_type_from_the_future_keeps_its_place(event, more):
    names = {field.encode_name for field in msgspec.structs.fields(events.UnknownEvent)}
    plain = {name: value for name, value in more.items() if name not in names} | msgspec.to_builtins(event)
    assert events.decode(msgspec.json.encode(plain)) == event
    assert events.convert(plain) == event


def test_unknown_members_of_a_known_type_are_ignored():
    body = b'{"type":"run_resumed","seq":1,"at":1,"newer":{"a":[]}}'
    assert events.decode(body) == events.RunResumed(seq=1, at=1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"token_delta","seq":1,"at":1}',
        b'{"type":"token_delta","seq":1,"at":1,"blockId":"b","offset":"0","text":"x"}',
        b'{"type":"token_delta","seq":1.5,"at":1,"blockId":"b","offset":0,"text":"x"}',
        b'{"type":"token_delta","seq":1,"at":1,"blockId":"b","offset":0,"text":null}',
        b'{"type":"request_opened","seq":1,"at":1,"requestId":"q","kind":"riddle","title":"","detail":0,"options":[]}',
        b'{"type":"run_started","seq":null,"at":1,"promptId":"p","agent":"a","model":"m"}',
    ],
)
def test_a_known_type_with_a_wrong_shape_is_an_error(body):
    with pytest.raises(msgspec.ValidationError):
        events.decode(body)
    with pytest.raises(msgspec.ValidationError):
        events.convert(msgspec.json.decode(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"from_the_future"}',
        b'{"type":"from_the_future","seq":1}',
        b'{"seq":1,"at":1}',
        b'{"type":7}',
    ],
)
def test_what_has_no_place_in_a_log_is_no_event(body):
    with pytest.raises(msgspec.ValidationError):
        events.decode(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"type":"from_the_future","seq":1,"at":1}x'])
def test_what_is_not_json_is_no_event(body):
    with pytest.raises(msgspec.DecodeError):
        events.decode(body)


@given(of(events.Usage), of(events.Usage))
def test_usage_adds_up_by_class_and_is_estimated_if_a_part_is(one, other):
    total = one + other
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"):
        assert getattr(total, name) == getattr(one, name) + getattr(other, name)
    assert total.estimated == (one.estimated or other.estimated)


@pytest.mark.parametrize("identifier", ["a", "0", "a-b_c.d:e", "x" * 128])
def test_an_identifier_within_the_rules_is_taken(identifier):
    assert msgspec.convert(identifier, events.Identifier) == identifier


@pytest.mark.parametrize(
    "identifier", ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "\na", "a\x00", "é", "..", "x" * 129, 7, None]
)
def test_an_identifier_outside_the_rules_is_refused(identifier):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(identifier, events.Identifier)
