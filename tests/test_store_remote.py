"""The store on a server that speaks S3, with other processes beside this one. Needs moto[server] and s3fs, which want an older python-dateutil than constraints.txt:

    uv pip install --target /some/folder 'moto[server]' s3fs && PYTHONPATH=/some/folder python -m pytest tests/test_store_remote.py
"""
import importlib.util, os, signal
from unittest.mock import patch
import fsspec, numpy as np, pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from children import _context
from xainb.core import BadInput, metric_rows
from xainb.store import Store, same_rows, write_whole

server_there = all(importlib.util.find_spec(p) for p in ('moto', 'flask', 's3fs'))
needs_server = pytest.mark.skipif(not server_there, reason='moto[server] and s3fs are not installed: no S3 server to test on')
pytestmark = pytest.mark.xdist_group('s3')

@pytest.fixture(scope='module')
def bucket():
    import s3fs
    from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False); server.start()
    at = dict(AWS_ENDPOINT_URL='http://{}:{}'.format(*server.get_host_and_port()), AWS_ACCESS_KEY_ID='test', AWS_SECRET_ACCESS_KEY='test', AWS_DEFAULT_REGION='us-east-1')
    with patch.dict(os.environ, at):
        s3fs.S3FileSystem().mkdir('bucket')
        yield 's3://bucket'
    server.stop()

@pytest.fixture
def store(bucket, request): return Store(f'{bucket}/{request.node.name}')

def frame(value, n=3): return metric_rows('insertion', [value]*n).assign(image=[f'{i}.png' for i in range(n)])

def asked(store):
    "The requests that go to the server, as a list that grows"
    names, real = [], type(store.folder.fs)._call_s3
    async def call(fs, method, *args, **kw): names.append(getattr(method, '__name__', method)); return await real(fs, method, *args, **kw)
    return names, patch.object(type(store.folder.fs), '_call_s3', call)

@needs_server
def test_everything_comes_back(store, tmp_path):
    here = Store(tmp_path)
    assert (store.units(), store.done('r'), store.has('r', 'u'), len(store.read()), store.load_json('plan', []), store.load_arrays('a'), store.arrays()) == ([], set(), False, 0, [], {}, [])
    for s in (store, here):
        s.write('r1', 'a', frame(.25), model='demo/resnet', seed=0); s.write('r1', 'b', frame(.5), seed=0); s.write('r2', 'a', frame(1.), seed=1)
        s.save_json('plan', [1]); s.save_json('plan', dict(runs=['r1'])); s.save_arrays('images', x=np.eye(3))
    assert same_rows(store.read(), here.read()) and same_rows(store.read({'r1': ['b', 'c']}), here.read({'r1': ['b']}))
    assert (store.done('r1'), store.has('r2', 'a'), store.has('r2', 'b')) == ({'a', 'b'}, True, False)
    assert [str(u) for u in store.units()] == [f'{store.folder}/rows/{u}.parquet' for u in ('r1/a', 'r1/b', 'r2/a')]
    assert (store.load_json('plan'), store.arrays(), store.load_arrays('images')['x'].tolist()) == (dict(runs=['r1']), ['images'], np.eye(3).tolist())
    assert same_rows(store.pack(f'{store.folder}-packed', here.read()).read(), here.read())

@needs_server
def test_one_listing_however_many_units(store):
    for i in range(30): store.folder.fs.pipe_file(f'{store.folder.path}/rows/r1/{i}.parquet', b'')
    names, counted = asked(store)
    with counted:
        assert len(store.done('r1')) == 30 and names == ['list_objects_v2']
        assert len(store.units()) == 30 and names == ['list_objects_v2']*2
        assert store.has('r1', '3') and names[2:] == ['head_object']

@needs_server
def test_one_request_for_each_file_that_is_read(store):
    for i in range(5): store.write('r1', f'{i}', frame(i))
    names, counted = asked(store)
    with counted:
        assert len(store.read({'r1': ['0', '3', 'x']})) == 6 and sorted(names) == ['get_object']*3 + ['list_objects_v2'] # One asks for the packed rows
        store.load_json('plan'); store.load_arrays('images')
        assert names[4:] == ['get_object']*2

@needs_server
def test_what_another_writes_is_seen(store):
    import s3fs
    store.write('r1', 'a', frame(0.)); assert store.done('r1') == {'a'} and not store.has('r1', 'b') and store.load_json('plan') is None
    another = s3fs.S3FileSystem(skip_instance_cache=True) # Its listings are its own, as in another process
    another.copy(f'{store.folder.path}/rows/r1/a.parquet', f'{store.folder.path}/rows/r1/b.parquet')
    another.pipe_file(f'{store.folder.path}/plan.json', b'[7]')
    assert store.done('r1') == {'a', 'b'} and store.has('r1', 'b') and len(store.units()) == 2 and store.load_json('plan') == [7]

def _in_child(f, env, *args): os.environ.update(env); f(*args)

def started(f, *args):
    "Another process that calls `f` and knows the way to the server"
    child = _context.Process(target=_in_child, args=(f, {k: v for k, v in os.environ.items() if k.startswith('AWS_')}, *args))
    child.start(); return child

def _write_many(folder, me, start):
    store = Store(folder); store.units(); start.wait(300)
    for i in range(15):
        store.write('r1', f'{me}-{i}', frame(float(me)), seed=i)
        store.write('r1', f'both-{i}', frame(float(me), 200), seed=i)
        store.save_json('plan', [me]*1000)

@needs_server
def test_two_write_at_once(store):
    start = _context.Barrier(3)
    both = [started(_write_many, str(store.folder), me, start) for me in (0, 1)]
    start.wait(300)
    while any(p.is_alive() for p in both):
        assert {*store.load_json('plan', [0])} in ({0}, {1}) # Never a part of one, nor of both
        store.read(); both[0].join(.1)
    assert [p.exitcode for p in both] == [0, 0]
    assert store.done('r1') == {f'{w}-{i}' for w in ('0', '1', 'both') for i in range(15)}
    seen = store.read()
    assert len(seen) == 15*(3 + 3 + 200) and (seen.groupby(['seed', 'image'], observed=True).size() <= 3).all()

def _killed(folder, file, during):
    import s3fs
    def die(*args, **kw): os.kill(os.getpid(), signal.SIGKILL)
    store, real = Store(folder), s3fs.S3FileSystem._call_s3
    async def call(fs, method, *args, **kw): return die() if method == during else await real(fs, method, *args, **kw)
    s3fs.core.calculate_chunksize = lambda size, chunksize=None: 5*2**20 # So that a small file goes in parts
    s3fs.S3FileSystem._call_s3 = call
    store.keep('ranks/big.npy', file)

@needs_server
@pytest.mark.parametrize('during', ['put_object', 'upload_part', 'complete_multipart_upload'])
def test_killed_while_it_uploads(store, tmp_path, during):
    (file := tmp_path/'file').write_bytes(b'x'*(100 if during == 'put_object' else 11*2**20))
    store.save_json('plan', 1)
    child = started(_killed, str(store.folder), file, during); child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert store.folder.fs.find(store.folder.path, refresh=True) == [f'{store.folder.path}/plan.json']
    with pytest.raises(BadInput, match="the store has no file 'ranks/big.npy'"): store.local('ranks/big.npy')

@needs_server
def test_interrupted_write_leaves_nothing(store):
    store.save_json('plan', 1)
    def write(path): path.write_bytes(b'half'); raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): write_whole(store.folder/'plan.json', write)
    assert store.load_json('plan') == 1 and len(store.folder.fs.find(store.folder.path, refresh=True)) == 1

@needs_server
def test_large_file_comes_once(store, tmp_path, monkeypatch):
    monkeypatch.setenv('XAINB_CACHE', str(tmp_path/'cache'))
    np.save(file := tmp_path/'a.npy', np.arange(10)); store.keep('ranks/a.npy', file)
    first = store.local('ranks/a.npy')
    names, counted = asked(store)
    with counted: assert store.local('ranks/a.npy') == first and names == ['head_object']
    np.save(file, np.arange(10)[::-1]); store.keep('ranks/a.npy', file) # As many bytes
    assert np.load(store.local('ranks/a.npy'), mmap_mode='r').tolist() == list(range(10))[::-1] and not first.exists()
    assert len([f for f in (tmp_path/'cache').rglob('*') if f.is_file()]) == 1

@needs_server
def test_no_bucket(bucket):
    nowhere = Store('s3://nowhere/run')
    with pytest.raises(BadInput, match=r"cannot write 's3://nowhere/run/plan.json': .*bucket"): nowhere.save_json('plan', 1)
    assert nowhere.load_json('plan') is None and nowhere.units() == []

class Keeps(MemoryFileSystem):
    "As SMB and HDFS do, it does not replace a file by moving another onto it; and it remembers listings until told otherwise"
    protocol, store, pseudo_dirs, listings = 'keeps', {}, [''], {}
    find = AbstractFileSystem.find
    def invalidate_cache(self, path=None): [self.listings.pop(p) for p in [*self.listings] if path in (None, p)]
    def ls(self, path, detail=True, **kw):
        if path not in self.listings: self.listings[path] = super().ls(path, True)
        return self.listings[path] if detail else [f['name'] for f in self.listings[path]]
    @classmethod
    def _strip_protocol(cls, path): return MemoryFileSystem._strip_protocol(path.removeprefix('keeps://'))
    def mv(self, path1, path2, **kw):
        if self.exists(path2): raise FileExistsError(path2)
        super().mv(path1, path2, **kw)

@pytest.fixture
def keeps(monkeypatch):
    fsspec.register_implementation('keeps', Keeps, clobber=True)
    monkeypatch.setitem(known_implementations, 'keeps', {'class': f'{__name__}.Keeps'})
    yield Store('keeps://x/run')
    Keeps.store.clear(); Keeps.listings.clear(); Keeps.pseudo_dirs[:] = ['']

@pytest.mark.filterwarnings('ignore:UPath')
def test_listings_are_not_remembered(keeps):
    keeps.write('r', 'u', frame(1.)); assert (keeps.done('r'), len(keeps.units())) == ({'u'}, 1)
    Keeps.store['/x/run/rows/r/v.parquet'] = Keeps.store['/x/run/rows/r/u.parquet']
    assert len(keeps.units()) == 2
    Keeps.store['/x/run/rows/r/w.parquet'] = Keeps.store['/x/run/rows/r/u.parquet']
    assert keeps.done('r') == {'u', 'v', 'w'} and keeps.has('r', 'w') and len(keeps.read()) == 9

@pytest.mark.filterwarnings('ignore:UPath')
def test_a_move_that_refuses_to_replace(keeps):
    store = keeps
    store.save_json('plan', 1); store.save_json('plan', 2); store.write('r', 'u', frame(1.))
    assert store.load_json('plan') == 2 and sorted(Keeps.store) == ['/x/run/plan.json', '/x/run/rows/r/u.parquet']
