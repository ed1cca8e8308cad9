"Every notebook is a test: it runs from top to bottom."
from pathlib import Path
import pytest
from children import call

repo = Path(__file__).parent.parent
notebooks = sorted(p.relative_to(repo).as_posix() for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))

@pytest.mark.parametrize('notebook', notebooks)
def test_notebook(notebook):
    run = call('nbdev-test', notebook, '--n-workers', '0', cwd=repo, MPLBACKEND='agg')
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
