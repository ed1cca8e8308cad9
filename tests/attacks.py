"""Attacks on sweeps, each on the smallest profile, and a table of what came of them:

    python tests/attacks.py              all that are quick
    python tests/attacks.py --slow       all
    python tests/attacks.py damaged      those whose name contains a word
    python tests/attacks.py --csv FILE   keeps the table as well

An attack is a generator. It gets an empty folder, yields once for each trial that was survived, with a few words on what it tried,
and raises AssertionError where xainb did not do what is right. `test_attacks.py` runs the same attacks as tests."""
import argparse, os, re, resource, shutil, signal, subprocess, sys, tempfile, textwrap, time, traceback
from pathlib import Path
import children

registry = {} # Name -> function with the fields `about`, `slow`

def attack(about, slow=False):
    "Register an attack; `about` says in one sentence what is right"
    def add(f):
        f.about, f.slow = about, slow
        registry[f.__name__] = f
        return f
    return add

# The smallest sweep: one network, one explainer, one metric, two images
smallest = ['--profile', 'smoke', '--models', 'demo/alexnet', '--explainers', 'gradient', '--metrics', 'insertion', '--images', '2', '--threads', '1', '--jobs', '1']

def sweep(out, *args, **env):
    "What `xainb-sweep` returns with the arguments of the smallest sweep and others, which replace those of the same name"
    return children.call('xainb-sweep', *smallest, '--out', out, *args, **env)

def background(out, *args, **env):
    "The same, without waiting, in a session of its own"
    command = [sys.executable, str(Path(sys.executable).with_name('xainb-sweep')), *smallest, '--out', str(out), *map(str, args)]
    def as_in_a_terminal(): signal.signal(signal.SIGINT, signal.SIG_DFL) # A script that runs in the background ignores it
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | env, preexec_fn=as_in_a_terminal)

def until(true, seconds=300):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(.02)

def said(run):
    "All that a command printed, for the message of a failed assertion"
    return (run.stdout + run.stderr)[-2000:]

def messages(stderr):
    "The lines of a command, without those of its progress"
    lines = [l for l in stderr.replace('\r', '\n').splitlines() if l.startswith('xainb')]
    return [l for l in lines if not re.match(r'[\w-]+: [\d,]+ of [\d,]+ ', l)]

def one_sentence(run):
    "The one line that a command wrote to stderr, apart from the progress bar, which is no traceback"
    lines = messages(run.stderr)
    assert len(lines) == 1 and 'Traceback' not in run.stdout + run.stderr, said(run)
    return lines[0]

def finished(run): assert run.returncode == 0 and 'runs complete' in run.stdout and 'Traceback' not in run.stdout + run.stderr, said(run)

def store_of(out):
    from xainb.store import Store
    return Store(out)

def flip(file, at, bit=0):
    "Invert one bit of a file"
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(content)

def attempt(f):
    "One row of the table: attack, outcome, trials"
    survived, start = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for what in f(Path(folder)): survived.append(what)
            outcome = 'held'
        except AssertionError as e: outcome = f'failed after {", ".join(survived) or "nothing"}: ' + ' '.join(str(e).split())[:300]
        except Exception as e:
            traceback.print_exc()
            outcome = f'{type(e).__name__}: {e}'[:300]
    return dict(attack=f.__name__, right=f.about, outcome=outcome, trials=f'{len(survived)}: {", ".join(survived)}', seconds=time.perf_counter() - start)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('words', nargs='*')
    parser.add_argument('--slow', action='store_true')
    parser.add_argument('--csv')
    options = parser.parse_args()
    chosen = [f for n, f in registry.items() if (options.slow or not f.slow or options.words) and (not options.words or any(w in n for w in options.words))]
    rows = []
    for f in chosen:
        rows.append(r := attempt(f))
        print(f"{r['attack']:34} {r['outcome']:8} {r['trials']}  ({r['seconds']:.0f} s)", flush=True)
    if options.csv:
        import pandas as pd
        pd.DataFrame(rows).drop(columns='seconds').to_csv(options.csv, index=False)
    return 0 if all(r['outcome'] == 'held' for r in rows) else 1

# ---- Kernels

trivial = '''
import os, sys, tempfile, nbformat, psutil, resource
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
from xainb.sweeps.run import *
cells = [new_code_cell('x = 0', metadata=dict(tags=['parameters'])), new_code_cell('x + 1')]
kernel = dict(name='python3', display_name='python3', language='python')
folder, me, found = Path(sys.argv[1]), psutil.Process(), []
template = folder/'template.ipynb'
template.write_text(nbformat.writes(new_notebook(cells=cells, metadata=dict(kernelspec=kernel))))
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
with Kernels() as kernels:
    for i in range(100):
        run_notebook(str(template), folder/'out.ipynb', dict(x=i), kernels)
        if i in (9, 99): found.append((me.num_fds(), me.num_threads(), me.memory_info().rss/2**20))
print(*found[0], *found[1])
'''

@attack('100 notebooks in one kernel take no more descriptors, threads and memory than ten, with at most 256 open files', slow=True)
def many_notebooks(folder):
    (script := folder/'trivial.py').write_text(trivial)
    run = children.call(script, folder)
    assert run.returncode == 0, said(run)
    first, last = (list(map(float, run.stdout.split()))[i:i+3] for i in (0, 3))
    for what, most, a, b in zip(('descriptors', 'threads', 'MB'), (3, 1, 20), first, last):
        assert b - a <= most, f'{what} grew from {a:.0f} to {b:.0f}'
        yield what

# ---- Damaged files

def cut(path): path.write_bytes(path.read_bytes()[:-100])
def empty(path): path.write_bytes(b'')
def bit_at_the_end(path): flip(path, path.stat().st_size - 6)
def text_instead(path): path.write_text('no result')
def bit_in_an_array(path): flip(path, path.stat().st_size//2)
def bit_in_a_page(path):
    import pyarrow.parquet as pq
    column = pq.read_metadata(path).row_group(0).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size - 1)
damages = [cut, empty, bit_at_the_end, text_instead]

def mended(out, files, damages, *more):
    "Each file is damaged in one way; the same command names and mends all of them"
    from xainb.store import same_rows
    whole = store_of(out).read()
    for damage, file in zip(damages, files, strict=True): damage(file)
    finished(run := sweep(out, *more))
    for damage, file in zip(damages, files):
        assert f"'{file}' was damaged and has been removed; it is computed again" in run.stderr, damage.__name__ + said(run)
        yield damage.__name__
    assert same_rows(whole, store_of(out).read())

@attack('damaged files of rows are named, dropped and computed again by the same command')
def damaged_rows(folder):
    finished(sweep(folder))
    yield from mended(folder, store_of(folder).units()[-5:], [*damages, bit_in_a_page])

@attack('damaged attributions are named, dropped and computed again by the same command')
def damaged_maps(folder):
    import numpy as np
    more = ['--explainers', 'gradient,input_x_gradient,sobel,center_blob,random_control']
    finished(sweep(folder, *more))
    files = sorted((folder/'maps').glob('alexnet*.npz'))
    yield from mended(folder, files, [*damages, bit_in_an_array], *more)
    assert all(len(np.load(f)['map']) == 2 for f in files)

@attack('one inverted bit anywhere in a file of results is noticed, or changes no number')
def flipped_bits(folder, n=1000):
    import random
    import numpy as np
    from xainb.core import BadInput
    from xainb.core import metric_rows
    from xainb.store import Store
    store, rnd = Store(folder), random.Random(0)
    store.write('run', 'rows', metric_rows('insertion', np.linspace(0, 1, 24)).assign(image=[f'image-{i//3}' for i in range(24)]), model='demo/alexnet', explainer='gradient')
    store.save_arrays('maps', map=np.random.RandomState(0).rand(2, 32, 32).astype('float16'), ids=np.array(['a', 'b']))
    def arrays(): return {k: v.tolist() for k, v in store.load_arrays('maps').items()}
    def rows(): return store.read().to_dict('list')
    for what, file, read in (('rows', store.units()[0], rows), ('attributions', folder/'maps'/'maps.npz', arrays)):
        whole, right, refused = file.read_bytes(), read(), 0
        for _ in range(n):
            flip(file, rnd.randrange(len(whole)), rnd.randrange(8))
            try: assert str(read()) == str(right), 'other numbers'
            except BadInput: refused += 1
            file.write_bytes(whole)
        yield f'{refused} of {n} bits of {what} refused, the others without effect'

@attack('a report that cannot be written ends with one sentence, and the rows stay')
def report_fails(folder):
    finished(sweep(folder))
    before = store_of(folder).read()
    (folder/'report.html').unlink()
    (folder/'report.html').mkdir()
    run = sweep(folder)
    assert run.returncode == 1 and 'the report could not be written' in one_sentence(run), said(run)
    assert before.equals(store_of(folder).read())
    yield 'a folder in its place'

@attack('what a killed sweep has not finished is removed by the next one, and what another process is writing stays')
def unfinished_files(folder):
    finished(sweep(folder))
    run = store_of(folder).units()[0].parent
    ended, alive, foreign = begun(run, 4194305), begun(run, os.getpid()), folder/'maps'/'.c.npz.elsewhere-1.00000000.part'
    for part in (ended, alive, foreign): part.write_text('half')
    finished(sweep(folder))
    assert [p.exists() for p in (ended, alive, foreign)] == [False, True, True]
    yield 'of a process that has ended'
    yield 'of a living one'
    yield 'of another machine'

# ---- Interruptions

def begun(folder, pid):
    "A file that a process is writing; 4194305 is above every process number of Linux"
    from xainb.store import hidden_name
    return folder/hidden_name('a.parquet').replace(f'-{os.getpid()}.', f'-{pid}.')

def temporary(folder, *names):
    "Environment variables by which temporary files are put into a folder of their own"
    folder.mkdir(parents=True)
    return {n: str(folder) for n in names}

@attack('a signal ends a sweep of many minutes within seconds, says what it waits for, and leaves no temporary file')
def interrupted(folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        out, files = folder/number.name, folder/f'tmp{number}'
        process = background(out, '--profile', 'demo', '--models', 'demo/*', '--metrics', '', '--explainers', '', '--images', '96', '--jobs', '2',
                             **temporary(files, 'TMPDIR'))
        until(lambda: len(store_of(out).units()) > 2)
        begun(out/'rows', 4194305).write_text('half') # As a kernel that is killed while it writes
        start = time.perf_counter()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        seconds = time.perf_counter() - start
        lines = messages(stderr)
        assert process.returncode == 128 + number and 'Traceback' not in stdout + stderr, stdout + stderr
        assert ['waiting for the running notebooks' in lines[0], 'repeat the same command' in lines[1]] == [True, True], stderr
        left = [f for f in (*out.rglob('.*'), *files.iterdir()) if 'torchinductor' not in f.name] # Of PyTorch, for all its processes
        assert not left, f'left: {left}'
        yield f'{number.name}, out after {seconds:.1f} s'

@attack('Ctrl-C while the libraries are imported shows no traceback')
def interrupted_early(folder):
    process, maps = background(folder/'out'), lambda: Path(f'/proc/{process.pid}/maps').read_text()
    until(lambda: 'libtorch_cpu' in maps())
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode and 'Traceback' not in stderr, stderr
    yield 'as soon as PyTorch is loaded'

@attack('a sweep that nohup started goes on when the terminal is closed')
def nohup(folder):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) # A child inherits it
    try: process = background(folder)
    finally: signal.signal(signal.SIGHUP, before)
    until(lambda: store_of(folder).units())
    process.send_signal(signal.SIGHUP)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0 and '1 of 1 runs complete' in stdout, stdout + stderr
    yield 'SIGHUP'

@attack('after kill -9 the same command computes what is missing, to the same rows')
def killed(folder):
    from xainb.store import same_rows
    finished(sweep(folder/'whole'))
    process = background(folder/'out')
    until(lambda: store_of(folder/'out').units())
    os.killpg(process.pid, signal.SIGKILL); process.communicate()
    finished(sweep(folder/'out'))
    assert same_rows(*(store_of(folder/o).read() for o in ('whole', 'out')))
    yield 'after the first unit'

# ---- Inputs

def door(folder, **arguments):
    "The sentences of commands that are refused, by name; each takes less than a minute and leaves nothing behind"
    for name, (args, sentence) in arguments.items():
        run = sweep(folder/'out', *args, timeout=120)
        assert run.returncode == 2 and sentence in one_sentence(run), f'{name}: {run.returncode} {said(run)}'
        assert not (folder/'out').exists(), name
        yield name.replace('_', ' ')

@attack('a model string makes no library read a file, and weights are numbers that a training produces')
def models(folder):
    import torch
    from timm import create_model
    torch.manual_seed(0)
    state = create_model('resnet18', num_classes=10).state_dict()
    torch.save(state, folder/'w.pth')
    torch.save(children.call, folder/'evil.pth')
    for name, change in dict(nan=lambda w: w*torch.nan, huge=lambda w: w*1e34, sparse=lambda w: w.to_sparse()).items():
        torch.save(state | {'fc.weight': change(state['fc.weight'])}, folder/f'{name}.pth')
    def given(file, option=''): return ['--models', f'timm/resnet18:{folder}/{file}.pth?classes=10{option}']
    yield from door(folder, checkpoint_path=(given('w', f'&checkpoint_path={folder}/evil.pth'), "unknown option of a timm model 'checkpoint_path'"),
                    pretrained=(given('w', '&pretrained=1'), "unknown option of a timm model 'pretrained'"), pickle=(given('evil'), 'holds more than weights'),
                    nan=(given('nan'), 'holds NaN or infinity'), huge=(given('huge'), 'the file was damaged'), sparse=(given('sparse'), 'weights are dense tensors'))

@attack('numbers that no machine can hold are refused before any work')
def sizes(folder):
    yield from door(folder, images=(['--images', '100000000'], 'scenes of 32 by 32 pixels take'), seed=(['--seed', '-1'], 'a seed is a whole number'), threads=(['--threads', '1000000'], 'at most 1024'))

@attack('an address at which no Dask scheduler answers within seconds is one sentence', slow=True)
def addresses(folder):
    import socket
    with socket.create_server(('127.0.0.1', 0)) as silent:
        silent = f'tcp://127.0.0.1:{silent.getsockname()[1]}'
        said = {a: (['--jobs', '0', '--scheduler', a], 'no Dask scheduler answers at') for a in ('foo', 'http://', 'tls://', silent)}
        yield from door(folder, **{('silent' if a == silent else a): v for a, v in said.items()})

@attack('any name of a network goes through a sweep to the report', slow=True)
def names(folder):
    import torch
    from urllib.parse import quote
    from torchvision.models import get_model
    torch.manual_seed(0)
    torch.save(get_model('squeezenet1_1', num_classes=10).state_dict(), folder/'w.pth')
    tried = ['x$^^$y', '.hidden', '{x}', 'a/b/../c', 'x'*300, 'Käfer 🐞', "'quoted\"", '%s %(a)d', '<script>']
    specs = ','.join(f"torchvision/squeezenet1_1:{folder}/w.pth?classes=10&name={quote(n, safe='')}" for n in tried)
    run = sweep(folder/'out {x}', '--models', specs)
    finished(run)
    found = {*store_of(folder/'out {x}').read().model.astype(str)}
    assert (folder/'out {x}'/'report.html').exists(), said(run)
    for n in tried:
        assert f'torchvision/{n}' in found, n
        yield n[:12]

# ---- Numbers that are none, and changes between two calls

nets = """
import torch
class Net(torch.nn.Module):
    def __init__(self): super().__init__(); torch.manual_seed(0); self.act, self.fc = torch.nn.ReLU(), torch.nn.Linear(3, 10)
    def forward(self, x):
        above = x.mean((1, 2, 3)) - DARK
        return self.fc(self.act(x.mean((2, 3)))) + 0*torch.sqrt(above + above.abs())[:, None]
"""

@attack('images whose attribution is NaN are left out and counted, and everything else is computed')
def nan_attributions(folder):
    from xainb.sweeps.evaluate import customize_profile, load_images
    images = load_images(customize_profile('smoke'), 4)
    darkest, next_one = images.x.mean((1, 2, 3)).sort().values[:2].tolist()
    (folder/'nets.py').write_text(nets.replace('DARK', repr((darkest + next_one)/2))) # The gradient of sqrt(0) is infinite
    out = folder/'out'
    finished(run := sweep(out, '--models', f'{folder}/nets.py:Net', '--explainers', 'gradient,sobel', '--metrics', 'insertion,mask_energy', '--images', 4))
    rows = store_of(out).read().astype(dict(explainer=str, metric=str, note=str))
    for m in ('insertion', 'mask_energy'):
        counts = [(len(r := rows[(rows.explainer == e) & (rows.metric == m)]), int(r.value.notna().sum())) for e in ('gradient', 'sobel')]
        assert counts == [(4, 3), (4, 4)], counts
        yield m
    from xainb.reports.evaluate import EvaluationReport
    left_out = EvaluationReport(out).summary().loc['images left out for NaN or infinity', 'what']
    assert left_out.startswith('gradient on ') and left_out.endswith(', 1 image'), left_out
    yield 'report'

@attack('other code of a network gives other rows, and the old ones stay')
def changed_code(folder):
    file, out, values = folder/'nets.py', folder/'out', []
    for activation in ('ReLU', 'Tanh'):
        file.write_text(nets.replace('DARK', '0.').replace('ReLU', activation))
        finished(sweep(out, '--models', f'{file}:Net'))
        from xainb.reports.evaluate import EvaluationReport
        values.append(EvaluationReport(out).rows.query("metric == 'insertion'").value.tolist())
    assert values[0] != values[1]
    yield 'ReLU replaced by Tanh'

@attack('every attribution in a report belongs to its picture, also after photographs were added to the folder')
def changed_folder(folder):
    import numpy as np, torch
    from PIL import Image
    from xainb.core import explainer_registry
    from xainb.reports.evaluate import EvaluationReport
    (folder/'images').mkdir()
    (folder/'nets.py').write_text(nets.replace('DARK', '0.'))
    def add(*names):
        for n in names: Image.fromarray(np.random.RandomState(ord(n)).randint(0, 256, (7, 7, 3), 'uint8')).resize((240, 240)).save(folder/'images'/f'{n}.png')
        there = sorted(f.name for f in (folder/'images').iterdir())
        (folder/'annotations.csv').write_text('file,label,x0,y0,x1,y1\n' + ''.join(f'{f},{i},20,20,200,200\n' for i, f in enumerate(there)))
    for names in ('cdef', 'ab'):
        add(*names)
        finished(sweep(folder/'out', '--profile', 'photos', '--data', folder, '--models', f'{folder}/nets.py:Net', '--explainers', 'sobel', '--images', 4))
        report = EvaluationReport(folder/'out')
        x = torch.tensor(report.store.load_arrays('images')['x'])/255
        right = explainer_registry['sobel'](torch.nn.Flatten(), x, torch.zeros(len(x), dtype=torch.long))[:, 0].numpy()
        found = np.stack([report._map(report.plan['runs'][0]['id'], 'sobel', i, x.shape[-2:]) for i in range(len(x))])
        worst = min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(right, found))
        assert worst > .99, worst
        yield f'after adding {", ".join(names)}'

if __name__ == '__main__': sys.exit(main())
