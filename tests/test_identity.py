"""One grammar of names: what is written is read back, and what is the same has one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset import identity
from medcoreset.errors import UserError
from medcoreset.identity import Surrogate

words = st.text("abcdefghij_0123456789", min_size=1)
values = st.integers() | st.booleans() | st.floats(allow_nan=False) | words


@given(words, st.dictionaries(words, values, max_size=4))
def test_an_identity_is_read_back_and_sorted(name, options):
    written = identity.join(name, options)
    assert identity.split(written, "thing") == (
        name,
        {key: identity.text(value) for key, value in sorted(options.items())},
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_value(number):
    assert float(identity.text(number)) == number
    assert "+" not in identity.text(number)


def test_defaults_are_left_out():
    assert identity.join("eva", {"late": 2, "early": 1}, {"late": 2}) == "eva+early=1"


@pytest.mark.parametrize("wrong", ["a+", "a+b", "a+b=", "a+=1", "a+b=1+b=2", "a++b=1"])
def test_what_is_no_identity_is_refused(wrong):
    with pytest.raises(UserError, match="thing 'a"):
        identity.split(wrong, "thing")


def test_surrogates_beside_one_another_differ_in_their_seeds():
    first = Surrogate("resnet18+width=8", seed=3, epochs=5)
    assert [each.name for each in first.beside(2)] == [
        "resnet18+width=8+epochs=5+seed=3",
        "resnet18+width=8+epochs=5+seed=1003",
    ]
    assert first.model == "resnet18+width=8+epochs=5"


def test_a_surrogate_that_stops_before_its_end_is_another_one():
    short = Surrogate("lenet", seed=3, epochs=50, until=20)
    assert short.name == "lenet+epochs=50+until=20+seed=3"
    assert Surrogate.parse(short.name) == short
