"The attacks of `attacks.py`, each as a test."
import pytest
import attacks

marked = [pytest.param(f, id=name, marks=[pytest.mark.slow] if f.slow else []) for name, f in attacks.registry.items()]

@pytest.mark.parametrize('attack', marked)
def test_attack(attack, tmp_path): assert list(attack(tmp_path))
