"""What may be fetched: hosts by equality or as names below one, addresses only if they are public."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.tools.allowed_addresses import NotAllowed, check_listed, check_public, target_of

LIST = ("example.org", "*.docs.example", "dev.example:8443", "xn--bcher-kva.example")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://example.org:80/path?query=1#fragment",
        "HTTPS://EXAMPLE.ORG./",
        "https://a.docs.example/",
        "https://a.b.docs.example/",
        "https://dev.example:8443/",
        "https://bücher.example/",
    ],
)
def test_a_listed_host_is_allowed(url: str) -> None:
    check_listed(target_of(url), LIST)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org.evil.test/",
        "https://evilexample.org/",
        "https://www.example.org/",
        "https://docs.example/",
        "https://evildocs.example/",
        "https://example.org:8443/",
        "https://dev.example/",
        "http://dev.example:80/",
        "https://127.0.0.1/",
        "https://[::1]/",
    ],
)
def test_any_other_host_or_port_is_not(url: str) -> None:
    with pytest.raises(NotAllowed, match="not in the list"):
        check_listed(target_of(url), LIST)


def test_an_empty_list_allows_nothing() -> None:
    with pytest.raises(NotAllowed):
        check_listed(target_of("https://example.org/"), ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://example.org/",
        "javascript:alert(1)",
        "https://",
        "https://user@example.org/",
        "https://example.org:pass@evil.test/",
        "https://example.org\\@evil.test/",
        "https://example.org /",
        "https://example.org\t/",
        "https://example.org/\r\nHost: evil.test",
        "https://evil.test\0.example.org/",
        "https://evil.test%00.example.org/",
        "https://example.org:99999/",
        "https://example.org:x/",
        "https://[::1/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://a..example.org/",
        "https://" + "a" * 9000,
    ],
)
def test_a_url_that_programs_could_read_differently_is_none(url: str) -> None:
    with pytest.raises(NotAllowed):
        target_of(url)


def test_a_path_is_sent_so_that_it_stays_one_word() -> None:
    assert target_of("https://example.org/ä?b=ü&c=%20#x").path == "/%C3%A4?b=%C3%BC&c=%20"
    assert target_of("https://example.org").path == "/"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:db8::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(NotAllowed, match="not a public address"):
        check_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_a_public_address_is_allowed(address: str) -> None:
    check_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    def public(text: str) -> bool:
        try:
            check_public(text)
        except NotAllowed:
            return False
        return True

    assert public(f"::ffff:{address}") is public(str(address))
    assert public(str(ipaddress.IPv6Address((0x64FF9B << 96) | int(address)))) is public(str(address))


@given(st.text())
def test_any_text_is_a_target_or_is_refused(url: str) -> None:
    try:
        target = target_of(url)
    except NotAllowed:
        return
    assert target.scheme in {"http", "https"}
    assert target.host
