"""How many connections may be open, in all and from one address."""

from __future__ import annotations

from common.http.quota import ConnectionQuota, network


def entered(quota: ConnectionQuota, address: str, tries: int) -> int:
    return [quota.enter(address) for _ in range(tries)].count("")


def test_one_address_alone_has_half_and_whoever_comes_later_finds_a_place() -> None:
    quota = ConnectionQuota(total=28, for_loopback=4)
    assert entered(quota, "192.0.2.1", 100) == 12
    assert quota.enter("192.0.2.1") == "address"
    assert entered(quota, "192.0.2.2", 100) == 6
    assert entered(quota, "192.0.2.3", 100) == 3


def test_loopback_has_places_that_nobody_else_can_take() -> None:
    quota = ConnectionQuota(total=28, for_loopback=4)
    crowd = sum(entered(quota, f"192.0.2.{number}", 2) for number in range(100))
    assert crowd == 24
    assert quota.enter("192.0.2.200") == "all"
    assert entered(quota, "127.0.0.1", 100) == 4
    assert len(quota) == 28


def test_no_more_than_all_are_open_when_loopback_was_there_first() -> None:
    quota = ConnectionQuota(total=28, for_loopback=4)
    assert entered(quota, "::1", 100) == 28
    assert quota.enter("192.0.2.1") == "all"


def test_a_proxy_comes_for_many_people_and_leaves_loopback_its_places() -> None:
    quota = ConnectionQuota(total=28, for_loopback=4, proxies="198.51.100.0/24,2001:db8::1")
    assert entered(quota, "198.51.100.7", 20) == 20
    assert entered(quota, "2001:db8::1", 100) == 4
    assert entered(quota, "127.0.0.1", 100) == 4


def test_a_place_that_was_left_is_free_again() -> None:
    quota = ConnectionQuota(total=4, for_loopback=0)
    assert entered(quota, "192.0.2.1", 100) == 2
    quota.leave("192.0.2.1")
    assert entered(quota, "192.0.2.1", 100) == 1
    for _ in range(2):
        quota.leave("192.0.2.1")
    assert len(quota) == 0


def test_what_one_person_has_of_addresses_is_one() -> None:
    assert network("192.0.2.7") == "192.0.2.7" != network("192.0.2.8")
    assert network("::ffff:192.0.2.7") == "192.0.2.7"
    assert network("2001:db8::1") == network("2001:db8::ffff:1%eth0") == "2001:db8::/64"
    assert network("2001:db8:0:1::1") != network("2001:db8::1")
    assert network("::1") == "::1"
    assert network("nowhere") == "nowhere"
