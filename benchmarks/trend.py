"""What a trend test costs beside the bare passes and the trainings that it needs.

    python benchmarks/trend.py [--quick] [--rounds 5] [--out benchmarks/trend.csv]

Tests, bare passes and trainings run in turn, in one process, on the same network, and what counts is the processor's time, which others on the machine disturb less. How to read the table: benchmarks/README.md.
"""
import warnings
from contextlib import ExitStack
from time import process_time
warnings.simplefilter('ignore')
import numpy as np, torch
from functools import partial
from explainers import Table, bare, circumstances, command
from xainb.core import count_passes, frozen, default_batch_size
from xainb.data.scenes import PlainScenes
from xainb.explainers.perturbation import _cuts
from xainb.models.zoo import new_network
from xainb.studies.backdoors import Poisoned, paper_trigger, poison_index, train_evolving
from xainb.models.recipes import train_from_scratch
from xainb.studies.trend import embt, emt, ptt, trend_explainers

recipe, at = dict(epochs=2, precision='float32'), (0, .25, .5, 1, 2)

def timed(calls:dict, rounds:int) -> tuple: # Name -> seconds of the processor in each round; name -> what the last call gave
    "All calls take turns; every second round begins with the second one"
    seconds, found, names = {n: np.zeros(rounds) for n in calls}, {}, list(calls)
    for r in range(rounds):
        for n in names[r % 2:] + names[:r % 2]:
            began = process_time()
            found[n] = calls[n]()
            seconds[n][r] = process_time() - began
    return seconds, found

def passes_of(call, nets) -> tuple: # Images that went forward, and that came back
    "The passes that a call makes on any of the networks"
    with ExitStack() as stack:
        counts = [stack.enter_context(count_passes(n)) for n in nets]
        call(nets)
    return sum(c.forward for c in counts), sum(c.backward for c in counts)

def measure(name, kind, on, path, x, rounds, training):
    "One row: a test of some explainers, the bare passes, and both with the training that comes before"
    nets, net = list(path), path[-1]
    forward, back = passes_of(on, nets)
    noise = torch.rand(default_batch_size(x), *x.shape[1:], generator=torch.Generator().manual_seed(0))
    def passes():
        with frozen(net): bare(net, noise, len(noise), forward, back)
    def test():
        _cuts.clear() # So that each round computes the superpixels once
        on(path)
    test() # The processor is warm
    seconds, _ = timed(dict(test=test, bare=passes), rounds)
    over, whole = seconds['test']/seconds['bare'], (seconds['test'] + training['evolving'])/(seconds['bare'] + training['plain'])
    return dict(test=name, explainers=kind, images=len(x), networks=len(path), forward=forward, back=back, seconds=np.median(seconds['test']), bare_seconds=np.median(seconds['bare']),
                times_bare=np.median(over), times_bare_low=over.min(), times_bare_high=over.max(), training_seconds=np.median(training['evolving']), bare_training_seconds=np.median(training['plain']),
                training_times_bare=np.median(training['evolving']/training['plain']), times_bare_with_training=np.median(whole))

def main():
    a = command(__doc__, 'one round of few images', net=('demo/resnet?w=16', 'a network that can be trained here'), train=(2000, 'images that it is trained on'), samples=(4, 'noisy copies, and a fiftieth of the perturbed ones, for each image'), images=(4, 'images that all ten explain'), many=(100, 'images that the gradient explains'))
    if a.quick: a.rounds, a.train, a.images, a.many, a.samples = 1, 400, 2, 8, 2
    table = Table(a.out, '{test:5} {explainers:9} {images:4} images {forward:8} forward {back:7} back {seconds:7.2f} s {times_bare:6.2f} x bare [{times_bare_low:.2f}, {times_bare_high:.2f}]   training {training_times_bare:.2f} x   both {times_bare_with_training:.2f} x   load {load}')
    make, train, held, white = new_network(a.net), PlainScenes('train', a.train, seed=0), PlainScenes('test', 2*a.many, seed=0), paper_trigger()
    poisoned = Poisoned(train, poison_index(train.y, share=.1))
    evolving = lambda: train_evolving(make, poisoned, at, white, recipe=recipe)[0]
    plain = lambda: train_from_scratch(make, lambda i: train.take(poisoned.index[i]), len(poisoned), recipe)
    training, kept = timed(dict(evolving=evolving, plain=plain), a.rounds)
    path, others, ten = kept['evolving'], held.x[held.y != 0], trend_explainers(.5, .25, a.samples, perturbed=50*a.samples)
    for kind, explainers, n in (('gradient', {'gradient': ten['gradient']}, a.many), ('ten', ten, a.images)):
        x = others[:n]
        tests = dict(embt=lambda nets: embt(nets, x, 0, explainers, white), ptt=lambda nets: ptt(nets[-1], x, 0, explainers, white), emt=lambda nets: emt(nets, held.x[:n], held.y[:n], explainers))
        for name, on in tests.items(): table.add([dict(net=a.net, side=32) | measure(name, kind, on, path, x, a.rounds, training) | circumstances(x.device, a.rounds)])

if __name__ == '__main__': main()
