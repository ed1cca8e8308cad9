"Imports run downward only: the real `import` statements of all modules, held against `xainb.layers`."
import ast
from graphlib import TopologicalSorter
from pathlib import Path
import pytest
import xainb

root = Path(xainb.__file__).parent
pages = root.parent/'nbs'
modules = {p.relative_to(root).with_suffix('').as_posix().replace('/', '.'): p for p in root.rglob('*.py') if p.name[0] != '_' and p.name != 'all.py'}
trees = {m: ast.parse(p.read_text(encoding='utf-8')) for m, p in modules.items()}
layer_of = {part: k for k, layer in enumerate(xainb.layers) for part in layer}

def part_of(module): return module.partition('.')[0]

def imports_of(module):
    "(module, imported names) of each import from this package, also inside functions"
    package = ['xainb', *module.split('.')[:-1]]
    for node in ast.walk(trees[module]):
        if isinstance(node, ast.Import): yield from ((a.name, ()) for a in node.names)
        if isinstance(node, ast.ImportFrom):
            base = '.'.join([*package[:len(package) + 1 - node.level], *filter(None, [node.module])]) if node.level else node.module
            names = [a.name for a in node.names]
            yield base, names
            yield from ((f'{base}.{n}', ()) for n in names)

def needed_by(module): return {name.removeprefix('xainb.') for name, _ in imports_of(module)} & set(modules) - {module}

def test_modules_belong_to_a_part():
    assert {part_of(m) for m in modules} == set(layer_of)
    assert len(layer_of) == sum(map(len, xainb.layers))

@pytest.mark.parametrize('module', sorted(modules))
def test_imports_run_downward(module):
    upward = [n for n in needed_by(module) if part_of(n) != part_of(module) and layer_of[part_of(n)] >= layer_of[part_of(module)]]
    assert upward == []

def test_no_cycles():
    "Neither between modules nor between parts; `prepare` raises with the cycle"
    TopologicalSorter({m: needed_by(m) for m in modules}).prepare()
    TopologicalSorter({p: {part_of(n) for m in modules if part_of(m) == p for n in needed_by(m)} - {p} for p in layer_of}).prepare()

@pytest.mark.parametrize('module', sorted(modules))
def test_no_private_name_is_imported(module):
    assert [f'{base}.{n}' for base, names in imports_of(module) if (base or '').startswith('xainb') for n in names if n.startswith('_')] == []

@pytest.mark.parametrize('module', sorted(modules))
def test_notebook_has_the_name_of_its_module(module):
    page = pages/f"{module.replace('.', '/')}.ipynb"
    assert page.exists() and f'default_exp {module}' in page.read_text(encoding='utf-8')

def test_pages_do_not_export_elsewhere():
    exporting = {p.relative_to(pages).with_suffix('').as_posix().replace('/', '.') for p in pages.rglob('*.ipynb') if '"#| default_exp ' in p.read_text(encoding='utf-8')}
    assert exporting == set(modules)
