"The hints of public names: parameters and results are annotated or described, and editors and type checkers see the same list as Python."
import importlib, inspect, re
import pytest
import stubs, xainb

# Every explainer and metric takes them, so they are described once, in `xainb.core`
interface = {'model', 'x', 'target', 'attribution', 'ground_truth', 'explain'}

def _function(name):
    f = getattr(importlib.import_module(xainb._module_of[name]), name)
    return f if inspect.isfunction(f) or hasattr(f, '__wrapped__') else None

def _signature(f):
    "The lines of the definition, without the body"
    lines = inspect.getsource(f).splitlines()
    start = next(i for i, l in enumerate(lines) if l.lstrip().startswith('def '))
    end = next(i for i in range(start, len(lines)) if re.search(r':\s*(#.*)?$', lines[i]) and '"""' not in lines[i] and _closed(lines[start:i+1]))
    return lines[start:end+1]

def _closed(lines):
    code = ' '.join(re.sub(r"'[^']*'|#.*", '', l) for l in lines)
    return code.count('(') == code.count(')') and code.count('[') == code.count(']')

@pytest.mark.parametrize('name', [n for n in xainb.__all__ if _function(n)])
def test_public_functions_are_annotated_or_described(name):
    f, called = inspect.unwrap(_function(name)), _function(name)
    lines = _signature(f)
    described = lambda parameter: any(re.search(rf'\b{parameter}\b[^#]*#', l) for l in lines)
    parameters = inspect.signature(called).parameters
    bare = [p for p, v in parameters.items() if v.annotation is v.empty and v.default is v.empty and p not in interface and not described(p)]
    assert not bare, f'{name}: {bare}'
    registered = hasattr(_function(name), 'facts') # Then `xainb.core` says what it returns, too
    assert registered or f.__annotations__.get('return') is not None or '#' in lines[-1] or inspect.isgeneratorfunction(f), f'{name} does not say what it returns'
    assert (f.__doc__ or '').strip(), name

@pytest.mark.parametrize('file', stubs.stubs, ids=lambda f: f.name)
def test_stubs_agree_with_the_public_names(file):
    assert file.read_text() == stubs.render(stubs.stubs[file]), 'python tests/stubs.py writes them again'
