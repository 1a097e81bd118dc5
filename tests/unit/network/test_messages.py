from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.network import messages
from lading.network.messages import LINK, Link


def test_a_request_has_the_bytes_that_the_kernel_expects() -> None:
    body = LINK.encode(index=2, flags=1, change=1) + messages.text(Link.NAME, "lo")
    assert body.hex() == "00000000020000000100000001000000" + "070003006c6f0000"


def test_what_is_nested_says_so_and_is_filled_up() -> None:
    encoded = messages.nested(18, messages.text(1, "veth"), messages.flag(4, True))
    assert encoded.hex() == "18001280" + "09000100" + "7665746800000000" + "0500040001000000"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no field mtu"):
        LINK.encode(mtu=1500)


@given(
    st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=6),
    st.integers(0, 2**31 - 1),
)
def test_what_was_encoded_is_read_again(wanted: dict[int, bytes], index: int) -> None:
    payload = LINK.encode(index=index)
    payload += b"".join(messages.raw(number, value) for number, value in wanted.items())
    message = LINK.decode(payload)
    assert message.fields["index"] == index
    assert message.attributes == wanted


@given(st.binary(max_size=64))
def test_attributes_that_are_cut_short_end_the_list(data: bytes) -> None:
    assert sum(len(value) + 4 for value in messages.attributes(data).values()) <= len(data) + 3


def test_what_is_not_there_reads_as_nothing() -> None:
    assert messages.number_in(None) == 0
    assert messages.number_in(b"\x01\x01\0\0") == 257
    assert messages.text_in(b"eth0\0") == "eth0"
