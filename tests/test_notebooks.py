"Every notebook is a test: it runs from top to bottom."
import os, subprocess, sys
from pathlib import Path
import pytest

repo = Path(__file__).parent.parent
notebooks = sorted(p.relative_to(repo).as_posix() for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))

@pytest.mark.parametrize('notebook', notebooks)
def test_notebook(notebook, tmp_path):
    run = subprocess.run([Path(sys.executable).with_name('nbdev-test'), notebook, '--n-workers', '0'], cwd=repo, capture_output=True, text=True,
                         env=os.environ | dict(OMP_NUM_THREADS='1', MPLBACKEND='agg'))
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
