"""Every notebook is a test: it runs from top to bottom, and its saved outputs are those that it makes.
Cells that begin with `#| nightly` run in a second test, which `make test` leaves out."""
import json, re
from pathlib import Path
import pytest
import outputs
from children import call

repo = Path(__file__).parent.parent
notebooks = sorted(p.relative_to(repo).as_posix() for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))
with_nightly_cells = [n for n in notebooks if re.search(r'^ *"#\| *nightly', (repo/n).read_text(encoding='utf-8'), re.M)]

def run(*command):
    done = call(*command, cwd=repo, MPLBACKEND='agg')
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

def read(path): return json.loads(Path(path).read_text(encoding='utf-8'))

@pytest.mark.parametrize('notebook', notebooks)
def test_notebook(notebook, tmp_path):
    saved = read(repo/notebook)
    run(repo/'tests'/'outputs.py', repo/notebook, tmp_path/'fresh.ipynb')
    if not outputs.comparable: return # The outputs were saved with other versions, which print some values in another way
    stale = outputs.stale_cells(saved, read(tmp_path/'fresh.ipynb'))
    assert not stale, f'saved outputs of {notebook} are stale; `nbdev-test {notebook} --save` makes them again:\n' + '\n'.join(f'{i}: {d}' for i, d in stale)

@pytest.mark.slow
@pytest.mark.parametrize('notebook', with_nightly_cells)
def test_nightly_cells(notebook): run('nbdev-test', notebook, '--n-workers', '0', '--flags', 'nightly')

@pytest.mark.parametrize('saved,fresh,differ', [
    ('a table of 4 rows: .50', 'a table of 4 rows: 0.505', ''), ('gradient .50', 'gradient .56', 'saved .50, fresh .56'),
    ('four explainers', 'five explainers', "saved '…four explainers', fresh '…five explainers'"), ('x1 is 3', 'x2 is 3', "saved '…x1 is #', fresh '…x2 is #'"),
    ('<Net at 0x7f31c0a1b2c3>', '<Net at 0x7f99c0a1b2ff>', ''), ('[1, 2, 3]', '[1, 2]', "saved '…[ # , # , # ]', fresh '…[ # , # ]'"),
    ('1e-3', '1e-2', ''), ('300 images', '200 images', 'saved 300, fresh 200')])
def test_difference(saved, fresh, differ): assert outputs.difference(saved, fresh) == differ

def test_pictures_are_not_compared_and_marked_cells_are_left_out():
    def cell(tags=(), **data): return dict(cell_type='code', id='a', metadata=dict(tags=list(tags)), outputs=[dict(data={k.replace('_', '/'): [v] for k, v in data.items()})])
    def notebook(c): return dict(cells=[c])
    assert outputs.stale_cells(notebook(cell(text_plain='1')), notebook(cell(text_plain='2'))) == [('a', 'saved 1, fresh 2')]
    assert outputs.stale_cells(notebook(cell(['measured'], text_plain='1')), notebook(cell(text_plain='2'))) == []
    assert outputs.stale_cells(notebook(cell(text_plain='<Axes>', image_png='x')), notebook(cell(text_plain='<Figure>', image_png='y'))) == []
    assert outputs.stale_cells(notebook(cell(text_html='<b>3</b>')), notebook(cell(text_html='<i class="7">3</i>'))) == []
    assert outputs.stale_cells(notebook(cell(text_html='<b>3</b>')), notebook(cell())) == [('a', "saved '…#', fresh '…'")]
