"Installed commands in child processes that need not import anything: a server imports the libraries once, and each child is its fork."
import contextlib, multiprocessing as mp, os, runpy, signal, subprocess, sys, tempfile
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1') # Read when torch is imported, so by the server and not by its forks; two tests run at once
_context = mp.get_context('forkserver' if 'forkserver' in mp.get_all_start_methods() else 'spawn')
# Not fastai, which changes how pandas shows tables when it is imported, and not xainb, whose registries list what was imported in that order:
# what a notebook shows must not depend on the server
preloaded = ['torch', 'torchvision', 'timm', 'captum.attr', 'captum.metrics', 'scipy.stats', 'sklearn.datasets', 'skimage.segmentation',
             'pyarrow.parquet', 'fsspec', 'nbdev.test', 'nbdev.showdoc', 'papermill', 'matplotlib.pyplot']
if _context.get_start_method() == 'forkserver': _context.set_forkserver_preload(preloaded)

def _child(script, args, said, cwd, env):
    os.setsid()
    for path, descriptor in zip(said, (1, 2)):
        with open(path, 'w') as f: os.dup2(f.fileno(), descriptor)
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [str(script), *args]
    runpy.run_path(str(script), run_name='__main__')

def start(script, *args, said=(os.devnull, os.devnull), cwd='.', **env):
    "A Python script (a path, or a name next to this interpreter), in a process that leads a session of its own and writes stdout and stderr into the files `said`"
    script = script if isinstance(script, Path) else Path(sys.executable).with_name(script)
    process = _context.Process(target=_child, args=(script, [str(a) for a in args], said, str(cwd), env))
    process.start()
    return process

def kill(process):
    "Ends a started process and all kernels that it has started, as `kill -9` does"
    with contextlib.suppress(ProcessLookupError): os.killpg(process.pid, signal.SIGKILL)
    process.join()

def call(script, *args, timeout=1800, **kw):
    "What `subprocess.run` returns, for a Python script next to this interpreter"
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder)/n for n in ('stdout', 'stderr')]
        process = start(script, *args, said=said, **kw)
        process.join(timeout)
        if process.is_alive(): kill(process)
        return subprocess.CompletedProcess(args, process.exitcode, *(p.read_text() if p.exists() else '' for p in said))
