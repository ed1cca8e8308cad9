"The four faults that a metric's tests have to find; `python tests/mutations.py` tries them all."
import pytest
from mutations import attempt, killed, named, nothing

@pytest.mark.parametrize('name', ['sign of the order', 'axes of the order swapped', 'fraction off by one', 'box transposed'])
def test_is_found(name):
    found = attempt(named(name))
    assert killed(found), found

def test_nothing_is_found_in_nothing():
    found = attempt(nothing('localization', 'deletion pointing_game'))
    assert found == dict(check_metric=None, notebook=None), found
