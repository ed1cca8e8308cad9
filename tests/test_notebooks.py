"Every notebook is a test: it runs from top to bottom. Cells that begin with `#| nightly` run in a second test, which `make test` leaves out."
import re
from pathlib import Path
import pytest
from children import call

repo = Path(__file__).parent.parent
notebooks = sorted(p.relative_to(repo).as_posix() for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))
with_nightly_cells = [n for n in notebooks if re.search(r'^ *"#\| *nightly', (repo/n).read_text(encoding='utf-8'), re.M)]

def run(notebook, *options):
    done = call('nbdev-test', notebook, '--n-workers', '0', *options, cwd=repo, MPLBACKEND='agg')
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

@pytest.mark.parametrize('notebook', notebooks)
def test_notebook(notebook): run(notebook)

@pytest.mark.slow
@pytest.mark.parametrize('notebook', with_nightly_cells)
def test_nightly_cells(notebook): run(notebook, '--flags', 'nightly')
