"The order of the tests, and one small sweep that all of them read."
import os
from pathlib import Path
os.environ.setdefault('OMP_NUM_THREADS', '1') # Two tests run at once; tests/matrix.py asks for other numbers

import pytest
from filelock import FileLock
import children

# The longest first, so that no worker is left with one of them at the end. The others follow in any order.
long = ['test_site', 'test_load', 'test_roar_command', 'test_trend_command', 'test_cluster', 'runs_on_photographs', 'reports/evaluate', 'interpret', 'holds_and_imports_everything',
        'same_seed_same_rows', 'killed_sweep', 'checks/explainers', 'templates/report', 'tutorials/', 'studies/roar', 'metrics/fidelity', 'metrics/conventions', 'papers/', 'roar_on_images']

def _rank(item): return next((i for i, name in enumerate(long) if name in item.nodeid), len(long))

def pytest_collection_modifyitems(items): items.sort(key=_rank)

def made_once(tmp_path_factory, name, make):
    "The folder that `make(folder)` fills, which is called by the first of the processes that run tests and by no other"
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    folder, complete = shared/name, shared/f'{name}.complete'
    with FileLock(shared/f'{name}.lock'):
        if not complete.exists():
            make(folder)
            complete.touch()
    return folder

# The arguments of the small sweep. One thread, since the sum of several may differ in its last bit.
small = ['--profile', 'smoke', '--explainers', 'gradient,cam', '--threads', '1']

@pytest.fixture(scope='session')
def small_sweep(tmp_path_factory):
    "The folder of one finished sweep of two networks, with what the command printed in `stdout` and `stderr`; tests only read it"
    def make(folder):
        run = children.call('xainb-sweep', *small, '--jobs', 1, '--out', folder)
        assert run.returncode == 0, run.stdout + run.stderr
        (folder/'stdout').write_text(run.stdout)
        (folder/'stderr').write_text(run.stderr)
    return made_once(tmp_path_factory, 'small-sweep', make)
