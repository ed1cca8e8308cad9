"""How much faster methods with forward passes only become in a compiled graph, next to other libraries on the same work.

    python benchmarks/graphs.py [--quick] [--nets resnet18,resnet50,mobilenet_v2,efficientnet_b0] [--rounds 3] [--out benchmarks/graphs.csv]

A network is an architecture of torchvision, which gets random weights, or a model string such as
torchvision/mobilenet_v2:weights.safetensors?mean=0.5&std=0.5. Everything that is compared runs in turn, in one process, on the same
images. How to read the table: benchmarks/README.md.
"""
import fnmatch, os, tempfile, warnings
warnings.simplefilter('ignore')
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
import numpy as np, torch
from torch import nn
from torchvision import models as tv
import explainers, metrics
from explainers import Table, bare, circumstances, command, lively, passes_in, photographs, sides, timed
from xainb.core import NotApplicable, default_batch_size, explainer_registry, frozen, logits
from xainb.models.graphs import with_graph
from xainb.models.inference import in_settings, try_batch_sizes, tune_inference
from xainb.models.zoo import build_model, model_card

@dataclass
class Contestant:
    "A network in one setting, and what it took to prepare it"
    net:nn.Module
    rows:int                 # Images in a pass
    precision:str = 'float32'
    graph:str = 'eager'
    preparation:float = 0.   # Seconds to compile it
    loading:float = 0.       # Seconds to load it when it has been compiled before

def network(spec, x):
    "The network, and its name in the table"
    if '/' in spec: return build_model(spec).to(x.device), f'{model_card(spec).arch}, trained'
    torch.manual_seed(0)
    return lively(tv.get_model(spec), x).eval().to(x.device), spec

def graphed(net, x, precision, rows, kind):
    "The network in a graph; made once in an empty cache and once from what is kept"
    took = []
    for _ in range(2):
        start = perf_counter()
        made = with_graph(net, x, kind, rows)
        took.append(perf_counter() - start)
    return Contestant(made, rows, precision, kind, *took)

def contestants(net, x, max_batch_size) -> dict:
    "Label -> contestant: as users have it, which peers get, too; the best settings without a graph; graphs in both precisions"
    best = tune_inference(net, x, 'float32', False, max_batch_size)
    with frozen(net): plain = min(try_batch_sizes(net, x[:1], False, max_batch_size, channels_last=False, dtype='float32'), key=lambda s: s.seconds)
    kind, rows = 'cuda_graph' if x.is_cuda else 'compiled', default_batch_size(x)
    eager, half = (in_settings(net, best.channels_last, d) for d in ('float32', 'bfloat16'))
    found = {'plain': Contestant(net, plain.batch_size), 'eager': Contestant(eager, best.batch_size)}
    for label, made, precision in (('graph', eager, 'float32'), ('graph in bfloat16', half, 'bfloat16')):
        try: found[label] = graphed(made, x, precision, rows, kind)
        except NotApplicable as e: print(f'{label} is left out: {e}', flush=True) # Random weights may spread rounding too far
    return found

compared = 'occlusion', 'lime', 'kernel_shap', 'rise', 'scorecam'

def methods(net, x, y, maps, n, n_steps) -> dict: # Name -> ours, peers, and how two results differ
    "What is compared: functions of a network and the images in a pass"
    def of_case(c):
        ours = explainer_registry[c.name]
        call = lambda net, rows: ours(net, x[:c.images], y[:c.images], batch_size=rows, **c.params)
        peers = {p: (lambda net, rows, f=f: f(net, x[:c.images], y[:c.images], rows)) for p, f in c.peers.items()}
        return call, peers, lambda a, b: (a - b).abs().max().item()/b.abs().max().item()
    found = {c.name: of_case(c) for c in explainers.cases(net, n) if c.name in compared}
    for name in ('deletion and insertion', 'channel values'):
        ours, peers = metrics.cases(x, y, maps, n_steps)[name]
        found[name] = ours, peers, lambda a, b: np.abs(metrics.areas(a) - metrics.areas(b)).max()
    return found

def measure(ours, peers, difference, nets, noise, rounds):
    "Rows for one method: each of our settings next to each peer, which gets the network as users have it, with the best batch size"
    calls, passes, found, plain = {}, {}, {}, nets['plain']
    def add(label, net, rows, f):
        with frozen(net), torch.no_grad(), passes_in(net) as seen: found[label] = f(net, rows)
        passes[label] = seen['forward']
        calls[label] = lambda: (None, f(net, rows))[0]
    for label, c in nets.items(): add(label, c.net, c.rows, ours)
    for peer, f in peers.items(): add(peer, plain.net, plain.rows, f)
    calls['bare'] = lambda: bare(plain.net, noise, plain.rows, passes['plain'], 0)
    with ExitStack() as use, torch.no_grad():
        for c in nets.values(): use.enter_context(frozen(c.net))
        seconds, _ = timed(calls, rounds, noise.device)
    per_pass = {label: np.median(s)/passes.get(label, passes['plain']) for label, s in seconds.items()}
    for label, c in nets.items():
        own = dict(setting=label, precision=c.precision, graph=c.graph, rows=c.rows, passes=passes[label], seconds=np.median(seconds[label]),
                   times_bare=np.median(seconds[label]/seconds['bare']), preparation=c.preparation, loading=c.loading,
                   difference=difference(found[label], found['plain']))
        for peer in peers:
            faster = seconds[peer]/seconds[label]
            at_2000 = per_pass[peer]*2000/(c.preparation + per_pass[label]*2000)
            yield own | dict(peer=peer, peer_passes=passes[peer], peer_seconds=np.median(seconds[peer]), faster_than_peer=np.median(faster),
                             faster_low=faster.min(), faster_high=faster.max(), faster_at_2000_passes=at_2000)

def main():
    a = command(__doc__, 'one round of few passes', nets=('resnet18,resnet50,mobilenet_v2,efficientnet_b0', 'torchvision networks with random weights, or model strings'),
                only=('*', 'methods, with wildcards'), passes=(64, 'about so many for each image'), images=(4, 'of a curve'), n_steps=(28, 'of a curve'),
                max_batch_size=(32, 'images in one pass at most'))
    if a.quick: a.rounds, a.passes, a.images, a.n_steps = 1, 16, 2, 7
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    table = Table(a.out, '{net:24} {method:24} {setting:18} {passes:5.0f} passes {seconds:7.2f} s {times_bare:5.2f} x bare   {peer:10} {faster_than_peer:5.2f} ({faster_at_2000_passes:5.2f} with compiling)   off {difference:.1g}   load {load}', 6)
    x = photographs(a.images).to(device)
    maps, noise = metrics.smooth_maps(a.images).to(device), torch.rand(a.max_batch_size, 3, sides, sides, generator=torch.Generator().manual_seed(0)).to(device)
    with tempfile.TemporaryDirectory() as cache:
        os.environ['XAINB_CACHE'] = cache # Compiling is timed from nothing
        for spec in a.nets.split(','):
            net, name = network(spec, x)
            nets, y = contestants(net, x, a.max_batch_size), logits(net, x).argmax(1)
            for method, work in methods(spec, x, y, maps, a.passes, a.n_steps).items():
                if not any(fnmatch.fnmatch(method, p) for p in a.only.split(',')): continue
                where = dict(net=name, method=method, side=sides) | circumstances(device, a.rounds)
                table.add([where | row for row in measure(*work, nets, noise, a.rounds)])

if __name__ == '__main__': main()
