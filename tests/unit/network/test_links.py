from __future__ import annotations

from lading.network import links


def test_an_address_has_the_same_mac_whoever_gets_it() -> None:
    assert links.mac_of("172.17.0.2") == links.mac_of("172.17.0.2") == "02:42:ac:11:00:02"
    assert links.mac_of("172.17.0.3") != links.mac_of("172.17.0.2")


def test_without_an_address_it_is_a_local_one_of_one_station() -> None:
    first = int(links.mac_of("")[:2], 16)
    assert first & 0b11 == 0b10
    assert links.mac_of("") != links.mac_of("")
