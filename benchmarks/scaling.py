"""How time and memory grow with the size of a task, what a second process gains, and what the published protocol would take.

    python benchmarks/scaling.py [--quick] [--parts sizes,jobs,estimate] [--nets idle,demo/resnet,resnet18] [--rounds 3] [--out benchmarks/scaling.csv]

One size is varied at a time and everything else is fixed. Rows of parts that are not measured again are kept. How to read the table: benchmarks/README.md.
"""
import fnmatch, os, subprocess, sys, tempfile, warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from torchvision import models as tv
from torchvision.transforms.functional import to_pil_image
from explainers import Table, circumstances, command, lively, photographs, synchronized
from xainb.core import GroundTruth, explainer_registry, logits, metric_registry
from xainb.data.images import Images, photos
from xainb.data.shifts import corrupt
from xainb.models.zoo import build_model
from xainb.store import Store
from xainb.sweeps.estimate import estimate, idle_network, jobs_and_threads, measure_timings, plan_or_outline, time_kernel, time_reading
from xainb.sweeps.evaluate import EvaluationProfile, evaluate
from xainb.sweeps.plan import customize_profile
from xainb.sweeps.run import trim_memory

rows_at_once, n_images = 8, 2 # Images in a pass, and images wherever their number is not what is varied

# Memory

def reset_peak(device) -> int: # Bytes in use now
    "Forget the largest amount of memory that was in use so far"
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    trim_memory()
    try: Path('/proc/self/clear_refs').write_text('5')
    except OSError: return 0
    return status_bytes('VmRSS')

def peak(device) -> int: return torch.cuda.max_memory_allocated() if device.type == 'cuda' else status_bytes('VmHWM')

def status_bytes(key:str) -> int:
    "A number that Linux keeps about this process"
    return next(int(line.split()[1])*1024 for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(key))

def added_memory(call, device) -> float: # Bytes; NaN where the system does not tell
    "By how much the memory in use rises above what it was, at the highest point of a call"
    before = reset_peak(device)
    if not before and device.type != 'cuda': return np.nan
    kept = call() # So that what it returns counts, too
    return float(peak(device) - before)

# What is measured

def photograph_folder(folder, n:int):
    "A folder of `n` JPEG files of 256 × 256 pixels, with its table"
    for i, x in enumerate(photographs(8, 256)):
        for k in range(i, n, 8): to_pil_image(x).save(f'{folder}/{k}.jpg')
    Path(folder, 'annotations.csv').write_text('file,label\n' + ''.join(f'{k}.jpg,0\n' for k in range(n)))

@dataclass
class Task:
    "One method with one size that is varied: `make(size)` gives a function without arguments, which is measured"
    axis:str
    method:str
    sizes:tuple
    make:object
    fixed:str # What does not vary

def smooth_maps(n:int, side:int): return F.interpolate(torch.rand(n, 1, 7, 7, generator=torch.Generator().manual_seed(0)), (side, side), mode='bicubic')

def explaining(net, method, size, name, images, side):
    "Call an explainer with `size` steps, samples or masks"
    x = inputs(images, side)
    given = {name: size} | (dict(features=7) if method in ('lime', 'kernel_shap') else {})
    return partial(explainer_registry[method], net, x, logits(net, x[:1]).argmax(1).expand(len(x)), batch_size=rows_at_once, **given)

def scoring(net, method, size, images, side):
    "Call a metric with `size` steps"
    x = inputs(images, side)
    maps, y = smooth_maps(1, side).expand(len(x), -1, -1, -1), logits(net, x[:1]).argmax(1).expand(len(x))
    return partial(metric_registry[method], net, x, y, maps, n_steps=size, batch_size=rows_at_once)

def inputs(n:int, side:int): # [n,3,side,side]
    "Photographs, each written to memory of its own"
    return photographs(min(n, 8), side).repeat(-(-n//8), 1, 1, 1)[:n].contiguous()

def designing(net, side, explainers, metrics, images):
    "Explain and score as a sweep does, and write the rows"
    x = inputs(images, side)
    data = Images(x, torch.zeros(images, dtype=torch.long), GroundTruth(), [str(i) for i in range(images)], ['0'])
    p = EvaluationProfile('scaling', '', explainers, metrics=metrics, images=images, chunk=images, show=1)
    def call():
        with tempfile.TemporaryDirectory() as tmp: evaluate(net, p, data, Store(tmp), 'run', {})
    return call

def alike(steps:int) -> tuple: # Explainers and metrics, name -> parameters
    "Five explainers that take `steps` passes there and back, and four metrics that take 17 passes"
    own = dict(integrated_gradients='n_steps') | dict.fromkeys(('expected_gradients', 'smoothgrad', 'smoothgrad_squared', 'vargrad'), 'n_samples')
    return {e: {name: steps} for e, name in own.items()}, dict(deletion=dict(n_steps=16), insertion=dict(n_steps=16), saco=dict(n_subsets=16), single_deletion=dict(patches=4))

def first(d:dict, k:int) -> dict: return dict(list(d.items())[:k])

steps_of = dict(integrated_gradients='n_steps', smoothgrad='n_samples', rise='n_masks', lime='n_samples', kernel_shap='n_samples')

def tasks(net, side:int, times:int) -> list: # Of `Task`
    "All tasks of a network; `times` is how much larger their sizes are than for a large network"
    few, some, found = 4, 8*times, []
    images, sides = tuple(times*n for n in (8, 16, 32, 64)), tuple(side*k//4 for k in (2, 4, 6, 8))
    steps, samples = tuple(times*n for n in (8, 16, 32, 64)), tuple(times*n for n in (16, 32, 64, 128))
    for m, n in dict(integrated_gradients=few, rise=2*few).items():
        found.append(Task('images', m, images, lambda k, m=m, n=n: explaining(net, m, n, steps_of[m], k, side), f'{steps_of[m]}={n}, {side} pixels'))
        found.append(Task('side', m, sides, lambda k, m=m, n=n: explaining(net, m, n, steps_of[m], 8, k), f'{steps_of[m]}={n}, 8 images'))
    found.append(Task('images', 'deletion', images, lambda k: scoring(net, 'deletion', 7, k, side), f'n_steps=7, {side} pixels'))
    found.append(Task('side', 'deletion', sides, lambda k: scoring(net, 'deletion', 7, 8, k), 'n_steps=7, 8 images'))
    fixed = f'{n_images} images, {side} pixels'
    for m in ('integrated_gradients', 'smoothgrad'): found.append(Task('steps', m, steps, lambda k, m=m: explaining(net, m, k, steps_of[m], n_images, side), fixed))
    for m in ('insertion', 'deletion'): found.append(Task('steps', m, steps, lambda k, m=m: scoring(net, m, k, n_images, side), fixed))
    for m in ('rise', 'lime', 'kernel_shap'): found.append(Task('samples', m, samples, lambda k, m=m: explaining(net, m, k, steps_of[m], n_images, side), fixed))
    explainers, metrics = alike(few)
    found.append(Task('explainers', 'evaluate', (1, 2, 3, 4, 5), lambda k: designing(net, side, first(explainers, k), {}, 8), f'{few} steps, no metric, 8 images'))
    found.append(Task('metrics', 'evaluate', (1, 2, 3, 4), lambda k: designing(net, side, dict(gradient={}), first(metrics, k), 8), '16 steps, one explainer, 8 images'))
    return found

def reading_tasks(folder) -> list: # Of `Task`
    "What happens to images before any network sees them"
    sizes = (64, 128, 192, 256)
    photograph_folder(folder, sizes[-1])
    found = [Task('images', 'photos', sizes, lambda k: partial(photos, k, folder=folder), '224 pixels, JPEG files of 256')]
    return found + [Task('images', f'corrupt {c}', sizes, lambda k, c=c: partial(corrupt, inputs(k, 224), c, 3), '224 pixels, severity 3') for c in ('noise', 'blur')]

def measure(task, rounds:int, device):
    "Rows of one task: seconds in each round, all sizes in turn, and the peak of memory before and after them"
    calls = {size: task.make(size) for size in task.sizes}
    calls[task.sizes[0]]() # What is done once, such as choosing kernels, is done
    where = dict(part='sizes', axis=task.axis, method=task.method, fixed=task.fixed)
    found = [dict(size=s, quantity='bytes', round=0, value=added_memory(f, device)) for s, f in calls.items()]
    for r in range(rounds):
        for s in task.sizes[::1 - 2*(r % 2)]: found.append(dict(size=s, quantity='seconds', round=r, value=synchronized(lambda: (None, calls[s]())[0], device)[0]))
    found += [dict(size=s, quantity='bytes', round=1, value=added_memory(f, device)) for s, f in calls.items()]
    return [where | row for row in found]

def network(name:str, side:int, device):
    "A network with random weights, or one of the package's own"
    if name == 'idle': return idle_network(side).to(device)
    if '/' in name: return build_model(name).to(device)
    torch.manual_seed(0)
    return lively(tv.get_model(name), photographs(2, side)).eval().to(device)

side_and_times = {'idle': (32, 16), 'demo/resnet': (32, 2)} # Pixels, and how many times more images, steps and samples; small networks are fast

def tasks_of(name, folder, device, quick):
    "The tasks of a network, or those that need none"
    if name == 'none': return reading_tasks(folder)
    side, times = side_and_times.get(name, (64, 1))
    return tasks(network(name, side, device), side, 1 if quick else times)

def sizes_part(a, done):
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    with tempfile.TemporaryDirectory() as folder:
        for name in a.nets.split(','):
            for task in tasks_of(name, folder, device, a.quick):
                if not any(fnmatch.fnmatch(f'{task.axis} {task.method}', p) for p in a.only.split(',')): continue
                where = dict(net=name) | circumstances(device, a.rounds)
                done([where | row for row in measure(task, a.rounds, device)])

# Two processes at the same time

def sweep_seconds(models:str, images:int, *options) -> tuple: # Seconds of the command, and of its notebooks together
    "Run a sweep from the command line, with one thread in each notebook"
    with tempfile.TemporaryDirectory() as out:
        own = ['--profile', 'smoke', '--models', models, '--images', str(images), '--threads', '1', '--no-compile', '--out', out]
        start = perf_counter()
        subprocess.run([Path(sys.executable).with_name('xainb-sweep'), *own, *options], check=True, capture_output=True, env=os.environ | dict(OMP_NUM_THREADS='1'))
        seconds = perf_counter() - start
        return seconds, sum(s['seconds'] for s in Store(out).load_json('status', []))

def jobs_part(a, done):
    device = torch.device('cpu')
    def add(method, size, round, value):
        where = dict(part='jobs', net=a.models, axis='jobs', method=method, fixed=f'{a.images} images, smoke profile') | circumstances(device, a.rounds)
        done([where | dict(size=size, quantity='seconds', round=round, value=value)])
    for r in range(1 if a.quick else 2):
        add('kernel', 1, r, time_kernel(customize_profile('smoke'))['seconds'])
        add('plan', 1, r, sweep_seconds(a.models, a.images, '--dry-run')[0])
        for jobs in (1, 2)[::1 - 2*(r % 2)]:
            whole, notebooks = sweep_seconds(a.models, a.images, '--jobs', str(jobs))
            add('sweep', jobs, r, whole)
            add('notebooks', jobs, r, notebooks)

# The published protocol, by calculation

assumed = (25, 50, 100, 200) # How many times faster a GPU is taken to be than all cores of this machine: our assumption

def estimate_part(a, done):
    p = customize_profile('imagenet', **dict(explainers=['gradient', 'cam'], metrics=['deletion']) if a.quick else {})
    made, (jobs, threads) = plan_or_outline(p), jobs_and_threads()
    timings, device = measure_timings(made, threads=threads), torch.device('cpu')
    here = estimate(made, timings)
    def add(axis, method, size, quantity, value):
        where = dict(part='estimate', net='imagenet', axis=axis, method=method, fixed=f'{jobs} notebooks of {threads} thread(s)', round=0) | circumstances(device, 1)
        done([where | dict(size=size, quantity=quantity, value=float(value))])
    for kind, line in here.table.iterrows():
        for quantity in ('seconds', 'passes', 'bytes'): add('kind', kind, 1, quantity, line[quantity])
    names = {r.id: r.name for r in made.runs}
    for run, seconds in here.run_seconds.items(): add('network', names[run], 1, 'seconds', seconds)
    add('reading', 'photograph', 1, 'seconds', time_reading()['seconds'])
    add('workers', 'this machine', jobs, 'seconds', here.with_workers(jobs))
    for gpus in (1, 8):
        for times in assumed: add('workers', f'{gpus} GPU{"s"*(gpus > 1)}', times, 'seconds', estimate(made, timings, gpus, speed_up=times*jobs).with_workers(gpus))

# The command

parts = dict(sizes=sizes_part, jobs=jobs_part, estimate=estimate_part)

def main():
    a = command(__doc__, 'one round of small sizes, and an estimate of two explainers', parts=(','.join(parts), 'what to measure'), nets=('none,idle,demo/resnet,resnet18', 'none: reading; idle: a network without work; package or torchvision networks'), only=('*', 'tasks such as "steps rise", with wildcards'),
                models=('demo/alexnet,demo/resnet,demo/mobilenet,demo/googlenet', 'networks of the sweep with one and two notebooks at the same time'), images=(16, 'that this sweep explains'))
    if a.quick: a.rounds, a.images, a.models = 2, 2, 'demo/alexnet,demo/resnet'
    table, chosen = Table(a.out, '{part:9} {net:12.12} {axis:10} {method:22} {size:6} {quantity:8} {value:14.4f}   load {load}', digits=5), a.parts.split(',')
    if Path(a.out).is_file(): table.extend(r for r in pd.read_csv(a.out).to_dict('records') if r['part'] not in chosen)
    for part in chosen: parts[part](a, lambda rows: table.add([r | dict(quick=a.quick) for r in rows]))

if __name__ == '__main__': main()
