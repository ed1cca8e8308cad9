"Sweeps in more than one process: kernels beside each other, and a Dask cluster on loopback whose worker is killed in the middle."
import importlib.util, os, signal, time
import pytest
import children
from conftest import small
from xainb.store import Store, same_rows

pytestmark = [pytest.mark.xdist_group('cluster'), pytest.mark.skipif(not importlib.util.find_spec('distributed'), reason='dask.distributed is not installed')]

def call(*args): return children.call('xainb-sweep', *small, *args)

@pytest.fixture(scope='module')
def unbroken(small_sweep):
    "One kernel, one run after the other"
    return Store(small_sweep)

@pytest.fixture(scope='module')
def cluster():
    "A scheduler and two workers in processes of their own, which say that they have a GPU each"
    from distributed import LocalCluster
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, resources={'GPU': 1}, dashboard_address=None) as cluster: yield cluster

def seen(store): return {f: f.stat().st_mtime_ns for f in store.units()}

def test_two_kernels_give_the_rows_of_one(unbroken, tmp_path):
    run = call('--jobs', 2, '--out', tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert same_rows(unbroken.read(), Store(tmp_path).read())

def _wanted(dask_scheduler): return [t.resource_restrictions for t in dask_scheduler.tasks.values()]

def _caught(client, store, unbroken, deadline):
    "A worker whose run has begun and is not complete"
    while time.time() < deadline:
        for run in {f.parent.name for f in store.units()}:
            worker = next((w for w, keys in client.processing().items() if any(str(k).startswith(run) for k in keys)), None)
            if worker and 2 < len(store.done(run)) < len(unbroken.done(run)) - 2: return worker
        time.sleep(.02)
    raise AssertionError('no run was caught in the middle')

def test_worker_killed_in_the_middle(unbroken, cluster, tmp_path):
    from distributed import Client
    store = Store(tmp_path)
    with Client(cluster, set_as_default=False) as client:
        before = client.run(os.getpid)
        said = tmp_path.with_suffix('.said')
        sweep = children.start('xainb-sweep', *small, '--scheduler', cluster.scheduler_address, '--out', tmp_path, said=(said, os.devnull))
        victim = before[_caught(client, store, unbroken, time.time() + 900)]
        assert client.run_on_scheduler(_wanted) == [{'GPU': 1}]*2
        os.kill(victim, signal.SIGKILL)
        at_death = seen(store)
        sweep.join(900)
        assert victim not in client.run(os.getpid).values()
    assert sweep.exitcode == 0 and '2 of 2 runs complete' in said.read_text(), said.read_text()
    assert len(at_death) < len(unbroken.units())
    assert {f: t for f, t in seen(store).items() if f in at_death} == at_death # Nothing is done twice
    assert same_rows(unbroken.read(), store.read())

def test_no_scheduler(tmp_path):
    run = call('--out', tmp_path/'x', '--scheduler', 'tcp://127.0.0.1:1')
    assert run.returncode == 2 and run.stderr.strip() == "xainb-sweep: no Dask scheduler answers at 'tcp://127.0.0.1:1', which should be like tcp://host:8786"
