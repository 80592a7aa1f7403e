"""Who may read: a page of another site may not, and nobody without the token where there is one."""

import pytest

from mixop.watch.access import Access, is_loopback, new_token


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8642", "localhost", "LOCALHOST:8642", "[::1]:8642", "127.3.2.1:1"])
def test_a_loopback_server_answers_to_its_own_names(host: str):
    assert Access("127.0.0.1", 8642).knows_host(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.evil.example",
     "192.168.1.5:8642", "[", "0x7f.1"],
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_refused(host: str | None):
    """DNS rebinding: the header has the name of the other site."""
    assert not Access("127.0.0.1", 8642).knows_host(host)


def test_elsewhere_addresses_and_the_given_name_lead_here():
    access = Access("box.lan", 8642, "t")
    assert all(map(access.knows_host, ("box.lan:8642", "BOX.LAN", "192.168.1.5:8642", "[fe80::1]:8642", "localhost:8642")))
    assert not any(map(access.knows_host, ("evil.example:8642", "box.lan.evil.example", "", None)))


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "example.org", "")))


def test_the_token_comes_by_address_or_by_cookie():
    access = Access("box.lan", 8642, "secret")
    assert access.admits({"token": ["secret"]}, None)
    assert access.admits({}, "other=1; mixop-watch-8642=secret")
    for query, cookies in (
        ({}, None),
        ({"token": ["secre"]}, None),
        ({"token": ["secretly"]}, ""),
        ({"token": [""]}, "mixop-watch-8642="),
        ({"token": ["sécret"]}, None),
        ({}, "mixop-watch-9999=secret"),
        ({}, "a[]=b;;;"),
    ):
        assert not access.admits(query, cookies)


def test_a_token_is_long_and_another_one_each_time():
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 22  # 16 bytes in base 64
