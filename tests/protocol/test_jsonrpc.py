"""JSON-RPC envelopes: every rule of PROTOCOL.md, "Discipline"."""

import json
import re

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wire_values import json_values, texts

from holdfast_protocol import errors, jsonrpc
from holdfast_protocol.jsonrpc import (
    DEPTH_MAX,
    ID_BYTES_MAX,
    MEMBERS_MAX,
    METHOD_BYTES_MAX,
    InvalidMessage,
    Notification,
    Request,
    Response,
    decode,
)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600


def call(params=b"{}", request_id=b"1"):
    return b'{"jsonrpc":"2.0","id":%b,"method":"m","params":%b}' % (request_id, params)


def refused(frame):
    """Give the code and the id a frame is refused with."""
    with pytest.raises(InvalidMessage) as caught:
        decode(frame)
    return caught.value.error.code, caught.value.id


# Messages that are well-formed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1}}', Request(1, "m", {"a": 1})),
        (b'{"jsonrpc":"2.0","id":"x","method":"m","params":[1]}', Request("x", "m", [1])),
        (b'{"jsonrpc":"2.0","id":"","method":"","params":[]}', Request("", "", [])),
        (b'{"jsonrpc":"2.0","id":0,"method":"m"}', Request(0, "m", None)),
        (b'{"jsonrpc":"2.0","id":-1,"method":"m","params":null}', Request(-1, "m", None)),
        (b'{"jsonrpc":"2.0","method":"m"}', Notification("m", None)),
        (b'{"jsonrpc":"2.0","method":"m","params":null}', Notification("m", None)),
        (
            b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}',
            Notification("$/cancelRequest", {"id": 1}),
        ),
        (b'{"jsonrpc":"2.0","id":1,"result":null}', Response(1, None)),
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":[]}}', Response(1, {"a": []})),
        (
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}',
            Response(1, error=errors.ErrorObject(code=-1, message="m")),
        ),
        (
            b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m","data":7,"more":8}}',
            Response(None, error=errors.ErrorObject(code=-1, message="m", data=7)),
        ),
        (b' { "method" : "m" ,\t"jsonrpc" : "2.0" }\r\n', Notification("m", None)),
    ],
)
def test_a_well_formed_message_is_read(frame, message):
    assert decode(frame) == message


def test_unknown_members_are_ignored():
    assert decode(b'{"jsonrpc":"2.0","id":1,"method":"m","result":1,"trace":[{}],"x":null}') == Request(
        1, "m", None
    )
    assert decode(b'{"jsonrpc":"2.0","id":1,"result":1,"params":7}') == Response(1, 1)


# Ids ---------------------------------------------------------------


@pytest.mark.parametrize(
    "request_id", [2**63 - 1, -(2**63), 2**53 + 1, "x" * ID_BYTES_MAX, "é" * (ID_BYTES_MAX // 2), "1"]
)
def test_an_id_at_the_limit_is_kept_as_it_is(request_id):
    message = decode(call(request_id=msgspec.json.encode(request_id)))
    assert message.id == request_id
    assert type(message.id) is type(request_id)


@pytest.mark.parametrize(
    "request_id",
    [
        b"null",
        b"1.0",
        b"1.5",
        b"1e2",
        b"-0.0",
        b"true",
        b"false",
        b"{}",
        b"[]",
        b"[1]",
        b"%d" % 2**63,
        b"%d" % (-(2**63) - 1),
        b"1" * 100,
        b'"%b"' % (b"x" * (ID_BYTES_MAX + 1)),
        '"{}"'.format("é" * (ID_BYTES_MAX // 2) + "x").encode(),
    ],
)
def test_an_id_that_is_no_string_or_integer_in_range_is_refused_under_a_null_id(request_id):
    assert refused(call(request_id=request_id)) == (INVALID_REQUEST, None)


# Params and methods ---------------------------------------------------------------


@pytest.mark.parametrize("params", [b"1", b"0", b'"x"', b'""', b"true", b"false", b"1.5"])
def test_params_are_an_object_an_array_or_null(params):
    assert refused(call(params)) == (INVALID_REQUEST, 1)


@pytest.mark.parametrize(
    "method", [b"null", b"1", b"{}", b"[]", b"true", b'"%b"' % (b"m" * (METHOD_BYTES_MAX + 1))]
)
def test_a_method_is_a_string_within_its_limit(method):
    assert refused(b'{"jsonrpc":"2.0","id":1,"method":%b}' % method) == (INVALID_REQUEST, 1)


def test_a_method_at_the_limit_is_read():
    name = "é" * (METHOD_BYTES_MAX // 2)
    assert decode(f'{{"jsonrpc":"2.0","method":"{name}"}}'.encode()).method == name


# Not a request ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "request_id"),
    [
        (b"{}", None),
        (b"null", None),
        (b"1", None),
        (b'"x"', None),
        (b"true", None),
        (b'{"id":7,"method":"m"}', 7),
        (b'{"jsonrpc":"1.0","id":7,"method":"m"}', 7),
        (b'{"jsonrpc":2.0,"id":7,"method":"m"}', 7),
        (b'{"jsonrpc":2,"id":7,"method":"m"}', 7),
        (b'{"jsonrpc":null,"id":"a","method":"m"}', "a"),
        (b'{"jsonrpc":"2.0"}', None),
        (b'{"jsonrpc":"2.0","id":7}', 7),
        (b'{"jsonrpc":"2.0","id":7,"params":{}}', 7),
        (b'{"jsonrpc":"2.0","id":7,"Method":"m"}', 7),
    ],
)
def test_json_that_is_no_request_is_refused_under_its_id_if_that_can_be_read(frame, request_id):
    assert refused(frame) == (INVALID_REQUEST, request_id)


@pytest.mark.parametrize("frame", [b"[]", b"[1]", b'[{"jsonrpc":"2.0","id":1,"method":"m"}]'])
def test_a_batch_is_refused(frame):
    assert refused(frame) == (INVALID_REQUEST, None)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"jsonrpc":"2.0","result":1}',
        b'{"jsonrpc":"2.0","id":null,"result":1}',
        b'{"jsonrpc":"2.0","id":1.5,"result":1}',
        b'{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":"m"}}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"m"}}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":null}',
        b'{"jsonrpc":"2.0","id":1,"error":null}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"m"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"m"}}',
        b'{"id":1,"result":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}',
    ],
)
def test_a_bad_response_is_refused_under_a_null_id_because_its_id_is_ours(frame):
    assert refused(frame) == (INVALID_REQUEST, None)


@pytest.mark.parametrize(
    "params",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{ "a" : 1 , "a" : 1 }',
        b'{"a":1,"\\u0061":2}',
        b'{"":1,"":2}',
        b'[{"b":{"a":1,"a":1}}]',
        b'{"b":[[{"a":{},"c":0,"a":{}}]]}',
        b'{"a":1,"a":1,"b":"\\u003a"}',
        b'{"a":1,"a":1,"b":"\\u0022:"}',
        b'{"e":1e2,"a":1,"a":1}',
    ],
)
def test_a_member_that_occurs_twice_is_refused_at_any_depth(params):
    assert refused(call(params)) == (INVALID_REQUEST, 1)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"m"}',
        b'{"jsonrpc":"2.0","id":1,"id":1,"method":"m"}',
        b'{"jsonrpc":"2.0","id":1,"method":"m","method":"m"}',
        b'{"jsonrpc":"2.0","id":1,"method":"m","x":1,"x":1}',
    ],
)
def test_a_member_of_the_envelope_that_occurs_twice_is_refused(frame):
    assert refused(frame) == (INVALID_REQUEST, 1)


@pytest.mark.parametrize(
    "params",
    [b'{"a":{"a":{"a":1}}}', b'[{"a":1},{"a":1}]', b'{ "a" : 1, "A": 1, "a ": 1, "b": "a\\": 1, \\"a" }'],
)
def test_the_same_name_in_different_objects_is_no_duplicate(params):
    assert decode(call(params)).params == json.loads(params)


# Not JSON ---------------------------------------------------------------

NOT_JSON = [
    b"",
    b" ",
    b"[NaN]",
    b"[-NaN]",
    b"[Infinity]",
    b"[-Infinity]",
    b"[nan]",
    b"[1e999]",
    b"[-1e999]",
    b"[1,]",
    b"[,1]",
    b"[1,,2]",
    b"[,]",
    b"[1 2]",
    b"[1",
    b"1]",
    b"[[]",
    b"[]]",
    b'{"a":1,}',
    b'{"a"}',
    b'{"a":}',
    b'{"a" 1}',
    b'{"a"::1}',
    b"{:1}",
    b"{1:1}",
    b"{null:1}",
    b"{a:1}",
    b"{'a':1}",
    b'{"a":1 "b":2}',
    b"[01]",
    b"[-01]",
    b"[-]",
    b"[+1]",
    b"[.5]",
    b"[1.]",
    b"[1.e1]",
    b"[1e]",
    b"[1e+]",
    b"[0x1]",
    b"[1_000]",
    b"[--1]",
    "[\uff11]".encode(),
    b"[tru]",
    b"[True]",
    b"[nul]",
    b"[undefined]",
    b'["a]',
    b"['a']",
    b'["\\"]',
    b'["\\x41"]',
    b'["\\a"]',
    b'["\\u12"]',
    b'["\\u12G4"]',
    b'["\\U00000041"]',
    b'["\\ud800"]',
    b'["\\ud800x"]',
    b'["\\ud800\\ud800"]',
    b'["\\udc00"]',
    b'["a\nb"]',
    b'["a\tb"]',
    b'["\x00"]',
    b'["\x1f"]',
    b"[1]\x00",
    b"[1]x",
    b"[1][2]",
    b'{"a":1}{"b":2}',
    b"[1]//",
    b"[1/**/]",
    b"# [1]",
    b"\x0c[1]",
    b"[\xc2\xa01]",
    b"\xef\xbb\xbf[1]",
    b"[\x0b1]",
    b"*",
    b"<null>",
    b"a\xc3\xa5",
    b"\x00",
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_not_json_is_a_parse_error_as_a_frame_and_as_params(text):
    assert refused(text) == (PARSE_ERROR, None)
    assert refused(call(text)) == (PARSE_ERROR, None)


JSON = [
    b"[]",
    b"{}",
    b"[[]   ]",
    b"[1\r\n\t ,2]",
    b"[-0]",
    b"[-0.0]",
    b"[0e+1]",
    b"[1E22]",
    b"[1e-400]",
    b"[123456789012345678901234567890]",
    b"[1.7976931348623157e308]",
    b"[0.1]",
    b'["\\u0000"]',
    b'["\\ud83d\\ude00"]',
    b'["\\uFFFF"]',
    b'["\\/\\b\\f\\n\\r\\t\\"\\\\"]',
    b'["\x7f"]',
    '["\u2028\u2029"]'.encode(),
    '["\U0010ffff"]'.encode(),
    '{"\u6f22":"\u5b57"}'.encode(),
    b'{"":0}',
    b'{"a":{"b":[true,false,null]}}',
]


@pytest.mark.parametrize("text", JSON)
def test_whatever_is_json_is_read_as_params_and_is_no_request_as_a_frame(text):
    assert decode(call(text)).params == json.loads(text)
    assert refused(text)[0] == INVALID_REQUEST


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",
        b"\xc0\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
    ],
)
def test_bad_utf_8_is_a_parse_error_wherever_it_stands(bad):
    for frame in (
        call(b'["%b"]' % bad),
        call(b'{"%b":1}' % bad),
        b'{"jsonrpc":"2.0","method":"m","ignored":"%b"}' % bad,
        b'{"jsonrpc":"2.0","id":1,"result":"%b"}' % bad,
        call(bad),
    ):
        assert refused(frame) == (PARSE_ERROR, None)


# Limits ---------------------------------------------------------------


def nested(depth, opener=b"[", closer=b"]"):
    """Give a call in which arrays or objects stand in each other to `depth`, the envelope included."""
    return call(opener * (depth - 1) + closer * (depth - 1))


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b"[ ", b" ]")])
def test_a_frame_at_the_depth_limit_is_read_and_one_past_it_is_not(opener, closer):
    assert isinstance(decode(nested(DEPTH_MAX, opener, closer)), Request)
    with pytest.raises(InvalidMessage) as caught:
        decode(nested(DEPTH_MAX + 1, opener, closer))
    assert caught.value.error.code == PARSE_ERROR
    assert (caught.value.error.data.limit, caught.value.error.data.limit_value) == ("depth_max", DEPTH_MAX)


def test_objects_count_for_the_depth_as_arrays_do():
    def frame(depth):
        return call(b'{"a":' * (depth - 1) + b"0" + b"}" * (depth - 1))

    assert isinstance(decode(frame(DEPTH_MAX)), Request)
    assert refused(frame(DEPTH_MAX + 1)) == (PARSE_ERROR, None)


def test_what_was_closed_is_not_deep():
    assert len(decode(call(b"[" + b"[]," * 1000 + b"[]]")).params) == 1001


def test_brackets_inside_strings_are_not_deep():
    text = b'["' + b"[{" * 1000 + b'", "\\"[[[[\\\\", "' + b"[" * 200 + b'"]'
    assert decode(call(text)).params == json.loads(text)


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"a":' * 50_000, b"[" * 100_000 + b"]" * 100_000])
def test_a_frame_nested_far_too_deeply_is_refused_before_it_is_decoded(text):
    assert refused(text) == (PARSE_ERROR, None)


ENVELOPE_MEMBERS = 4


def test_a_frame_at_the_members_limit_is_read_and_one_past_it_is_not():
    def frame(members):
        return call(b"[" + b",".join([b"0"] * (members - ENVELOPE_MEMBERS)) + b"]")

    assert len(decode(frame(MEMBERS_MAX)).params) == MEMBERS_MAX - ENVELOPE_MEMBERS
    with pytest.raises(InvalidMessage) as caught:
        decode(frame(MEMBERS_MAX + 1))
    assert caught.value.error.code == PARSE_ERROR
    assert (caught.value.error.data.limit, caught.value.error.data.limit_value) == (
        "members_max",
        MEMBERS_MAX,
    )


def test_members_of_objects_count_as_elements_do():
    def frame(members):
        names = (b'"%d":0' % number for number in range(members - ENVELOPE_MEMBERS))
        return call(b"{" + b",".join(names) + b"}")

    assert len(decode(frame(MEMBERS_MAX)).params) == MEMBERS_MAX - ENVELOPE_MEMBERS
    assert refused(frame(MEMBERS_MAX + 1)) == (PARSE_ERROR, None)


def test_commas_inside_strings_are_no_members():
    text = b'["' + b"," * 20_000 + b'"]'
    assert decode(call(text)).params == json.loads(text)


HOSTILE = [
    b"[]" * 129 + b'"' + b'\\"' * 1_000_000,
    b"[]" * 129 + b'"' + b"\\" * 1_000_001,
    b"[]" * 129 + b'""' * 1_000_000,
    b"[]" * 129 + b"]" * 1_000_000,
    b"[" + b"[]," * 129 + b'"' + b"\\\\" * 1_000_000 + b'"]' + b"x",
    b"{" * 129 + b'"' + b"\\\n" * 1_000_000,
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("frame", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_frame_is_refused_in_time_linear_in_its_bytes(frame):
    """Two megabytes that take minutes once any scan of them is quadratic; the time-out is the judge."""
    assert refused(frame) == (PARSE_ERROR, None)


# Against an independent decoder ---------------------------------------------------------------


class NotJson(Exception):
    pass


def judge(frame):
    """Judge by the standard library and the rules written anew; a code, or what `outcome` gives."""
    duplicates = []

    def pairs(found):
        names = [name for name, _ in found]
        duplicates.extend(name for name in names if names.count(name) > 1)
        return dict(found)

    def constant(name):
        raise NotJson(name)

    def number(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise NotJson(text)
        return value

    try:
        text = frame.decode()
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
        json.dumps(value, ensure_ascii=False).encode()  # Lone surrogates are not text.
    except (ValueError, NotJson, RecursionError):
        return PARSE_ERROR
    if not isinstance(value, dict) or duplicates or value.get("jsonrpc") != "2.0":
        return INVALID_REQUEST
    method, params, request_id = value.get("method"), value.get("params"), value.get("id", "none")
    if not isinstance(method, str) or not isinstance(params, dict | list | None):
        return INVALID_REQUEST
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return INVALID_REQUEST
    if isinstance(request_id, int) and not -(2**63) <= request_id < 2**63:
        return INVALID_REQUEST
    return ("id" in value, request_id, method, params)


def outcome(frame):
    try:
        message = decode(frame)
    except InvalidMessage as invalid:
        return invalid.error.code
    is_request = isinstance(message, Request)
    return (is_request, message.id if is_request else "none", message.method, message.params)


STYLES = [
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (",", ":")},
    {},
    {"ensure_ascii": False},
    {"indent": 2},
    {"indent": "\t", "ensure_ascii": False, "separators": (" ,\r\n", " : ")},
]

envelopes = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": texts},
    optional={
        "id": st.integers(-(2**63) - 2, 2**63 + 2)
        | texts
        | st.none()
        | st.floats(allow_nan=False, allow_infinity=False),
        "params": json_values | st.dictionaries(texts, json_values, max_size=4),
        "extra": json_values,
    },
)


@given(envelopes, st.sampled_from(STYLES))
def test_whatever_style_a_peer_writes_the_meaning_is_the_standard_librarys(envelope, style):
    frame = json.dumps(envelope, **style).encode()
    assert outcome(frame) == judge(frame)


@given(envelopes, st.sampled_from(STYLES), st.data())
@example({"jsonrpc": "2.0", "method": "m", "params": {"a": 1}}, STYLES[0], None)
def test_a_damaged_frame_is_judged_as_the_standard_library_judges_it(envelope, style, data):
    frame = bytearray(json.dumps(envelope, **style).encode())
    if data is not None:
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(frame)))
            drop = data.draw(st.integers(0, 3))
            frame[place : place + drop] = data.draw(
                st.binary(max_size=2)
                | st.sampled_from([b'"', b",", b":", b"[", b"]", b"{", b"}", b"\\", b" ", b'"a":1,'])
            )
    assert outcome(bytes(frame)) == judge(bytes(frame))


objects = st.dictionaries(st.sampled_from(["a", "b", ":", '"', " "]), st.just(0), min_size=1, max_size=3)


@given(objects, st.integers(0, 5), st.booleans(), st.sampled_from([b"%b", b"[%b]", b'{"x":{"y":%b}}']))
def test_a_repeated_member_is_always_found_and_never_imagined(members, place, repeat, around):
    pairs = [f"{json.dumps(name)}: {value}" for name, value in members.items()]
    if repeat:
        pairs.insert(place % (len(pairs) + 1), pairs[place % len(pairs)])
    frame = call(around % ("{" + ", ".join(pairs) + "}").encode())
    if repeat:
        assert refused(frame) == (INVALID_REQUEST, 1)
    else:
        assert isinstance(decode(frame), Request)


# Encoding ---------------------------------------------------------------


ids = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20)
params = st.none() | st.lists(json_values, max_size=3) | st.dictionaries(texts, json_values, max_size=3)


@given(ids, texts, params)
def test_what_is_encoded_is_decoded_the_same(request_id, method, params):
    assert decode(jsonrpc.encode_request(request_id, method, params)) == Request(request_id, method, params)
    assert decode(jsonrpc.encode_notification(method, params)) == Notification(method, params)
    assert decode(jsonrpc.encode_result(request_id, params)) == Response(request_id, params)


@given(ids | st.none(), texts)
def test_a_refusal_is_decoded_with_its_kind(request_id, message):
    response = decode(jsonrpc.encode_error(request_id, errors.NotFound(message, resource="session", id="s")))
    assert response.id == request_id
    error = errors.from_object(response.error)
    assert (type(error), error.message, error.data.resource) == (errors.NotFound, message, "session")


@given(params)
def test_an_encoded_message_has_no_newline(params):
    assert b"\n" not in jsonrpc.encode_request(1, "a\nb", params)


def test_bytes_encoded_before_are_spliced_in_as_they_are():
    raw = msgspec.Raw(b'{"a": [1 , 2]}')
    assert jsonrpc.encode_notification("m", {"events": [raw]}).count(b'{"a": [1 , 2]}') == 1


def test_a_refusal_says_what_is_wrong_without_a_traceback():
    with pytest.raises(InvalidMessage) as caught:
        decode(b'{"jsonrpc":"2.0","id":1,"method":"m","params":7}')
    assert caught.value.error.data.path == "$.params"
    assert not re.search(r"Traceback|\.py|line \d", caught.value.error.message)
