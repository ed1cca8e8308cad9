"Sweeps under load: signals, a full disk, a folder that goes away, two at once, and a scheduler that is lost. Whatever happens, the same command finishes the rest."
import importlib.util, os, shutil, signal, subprocess, sys, time, uuid
from pathlib import Path
import pytest
import children
from xainb.store import Store, same_rows

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('load')] # They share one finished sweep
command = [sys.executable, str(Path(sys.executable).with_name('xainb-sweep'))]
small = ['--profile', 'smoke', '--models', 'demo/resnet,demo/alexnet', '--explainers', 'gradient, cam', '--threads', '1']

def call(out, *args): return children.call('xainb-sweep', *small, '--out', out, *args)

def start(out, *args, mark=''):
    "A sweep in a process group of its own, whose kernels carry a `mark` in their environment"
    return subprocess.Popen([*command, *small, '--out', str(out), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | dict(XAINB_TEST=mark))

def until(true, seconds=300):
    deadline = time.time() + seconds
    while not true():
        assert time.time() < deadline, 'waited in vain'
        time.sleep(.02)

def carrying(mark):
    "Processes that carry a mark and are alive"
    found = []
    for p in Path('/proc').glob('[0-9]*'):
        try:
            if f'XAINB_TEST={mark}'.encode() in (p/'environ').read_bytes().split(b'\0') and 'Z' not in (p/'stat').read_text().rsplit(')', 1)[1].split()[0]: found.append(int(p.name))
        except OSError: pass
    return found

def lines(text): return [l for l in text.replace('\r', '\n').splitlines() if l.startswith('xainb-sweep')]

@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp('unbroken')
    run = call(out)
    assert run.returncode == 0, run.stdout + run.stderr
    return Store(out)

def finished(store, unbroken):
    run = call(store.folder)
    assert run.returncode == 0 and '2 of 2 runs complete' in run.stdout, run.stdout + run.stderr
    assert same_rows(store.read(), unbroken.read())

@pytest.mark.skipif(not Path('/proc').exists(), reason='looks for processes in /proc')
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_interrupted(number, unbroken, tmp_path):
    store, mark = Store(tmp_path), uuid.uuid4().hex
    process = start(tmp_path, mark=mark)
    until(lambda: len(store.units()) > 2)
    process.send_signal(number)
    said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert lines(said[1]) == ['xainb-sweep: waiting for the running notebooks to end; what they have stored is kept',
                              'xainb-sweep: interrupted; repeat the same command to continue'] and 'Traceback' not in ''.join(said), said
    until(lambda: not carrying(mark), 30)
    assert len(store.units()) < len(unbroken.units())
    finished(store, unbroken)

@pytest.mark.skipif(not Path('/proc').exists(), reason='looks for processes in /proc')
def test_killed_leaves_no_kernel(unbroken, tmp_path):
    store, mark = Store(tmp_path), uuid.uuid4().hex
    process = start(tmp_path, mark=mark)
    until(lambda: store.units())
    assert len(carrying(mark)) > 1
    process.kill(); process.communicate()
    until(lambda: not carrying(mark), 60)
    finished(store, unbroken)

@pytest.fixture
def disk(tmp_path):
    "A disk of two megabytes"
    (at := tmp_path/'disk').mkdir()
    made = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', at], capture_output=True, text=True) if shutil.which('mount') else None
    if made is None or made.returncode: pytest.skip('a small disk cannot be mounted here')
    try: yield at
    finally: subprocess.run(['umount', '-l', at])

def test_disk_full(disk, unbroken, tmp_path):
    (filler := disk/'filler').write_bytes(b'x'*int(1.9*2**20))
    run = call(disk/'out')
    said = run.stdout + run.stderr
    assert run.returncode in (1, 2) and 'No space left on device' in said and 'Traceback' not in said, said
    filler.unlink()
    subprocess.run(['mount', '-o', 'remount,size=64m', disk], check=True)
    finished(Store(disk/'out'), unbroken)

def test_output_taken_away(unbroken, tmp_path):
    store = Store(tmp_path/'out')
    process = start(store.folder)
    until(lambda: len(store.units()) > 2)
    store.folder.rename(tmp_path/'away')
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1 and ('ended without' in out or "doesn't exist" in out) and 'Traceback' not in out + err, (out, err)
    finished(store, unbroken)

def test_two_at_once(unbroken, tmp_path):
    both = [start(tmp_path) for _ in range(2)]
    said = [p.communicate(timeout=600) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert same_rows(Store(tmp_path).read(), unbroken.read())

@pytest.mark.skipif(not importlib.util.find_spec('distributed'), reason='dask.distributed is not installed')
def test_scheduler_lost(unbroken, tmp_path):
    from distributed import LocalCluster
    store = Store(tmp_path)
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        process = start(tmp_path, '--scheduler', cluster.scheduler_address)
        until(lambda: len(store.units()) > 2)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1 and 'is the cluster still there?' in out + err and 'Traceback' not in out + err, (out, err)
    finished(store, unbroken)

def test_any_name(tmp_path):
    "Files are called by a slug, the report shows the name, escaped"
    from urllib.parse import quote
    from safetensors.torch import save_file
    from torchvision.models import get_model
    import torch
    torch.manual_seed(0)
    save_file(get_model('squeezenet1_1', num_classes=10).state_dict(), tmp_path/'w.safetensors')
    names, out = ['a{b}', r'$\frac$', 'x'*200, '<b>bold</b>', '../up'], tmp_path/'out {profile}'
    specs = ','.join(f"torchvision/squeezenet1_1:{tmp_path}/w.safetensors?classes=10&name={quote(n, safe='')}" for n in names)
    run = children.call('xainb-sweep', '--profile', 'smoke', '--models', specs, '--explainers', 'gradient', '--metrics', 'insertion', '--images', 2, '--threads', 1, '--out', out)
    assert run.returncode == 0 and '5 of 5 runs complete' in run.stdout, run.stdout + run.stderr
    assert {*Store(out).read().model.astype(str)} == {f'torchvision/{n}' for n in names}
    files = [f.relative_to(out).as_posix() for f in out.rglob('*')]
    assert all(len(Path(f).name) < 120 and not set(f) & set('{}$<>') for f in files), files
    page = (out/'report.html').read_text(encoding='utf-8')
    assert '&lt;b&gt;bold&lt;/b&gt;' in page and '<b>bold' not in page
