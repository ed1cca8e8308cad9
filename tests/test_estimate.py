"An estimate against what really happens: counts are exact, and times are reported."
import json, math, time
import pytest, torch
import children
from xainb.core import Passes, metric_registry
from xainb.sweeps.estimate import MachineTimings, estimate, measure_timings
from xainb.sweeps.evaluate import evaluate, facts, load_images, measure_accuracy
from xainb.sweeps.plan import done_units, customize_profile, plan
from xainb.sweeps.roar import run_roar, roar_study
from xainb.models.zoo import model_card
from xainb.store import Store

class Counted:
    "Counts on a network, apart for training and evaluation mode"
    def __init__(self): self.trained, self.passes = 0, Passes()
    def watch(self, net):
        net.register_forward_hook(self.after)
        return net
    def after(self, net, args, out):
        if net.training: self.trained += len(out); return
        self.passes.forward += len(out)
        if out.requires_grad: out.register_hook(lambda g: setattr(self.passes, 'backward', self.passes.backward + len(g)))
    @property
    def all(self): return self.passes.forward + self.passes.backward

def evaluate_run(p, run, store):
    "What sweeps/evaluate does"
    counted, card, n = Counted(), model_card(run.parameters['model']), max(p.images, p.accuracy_images, p.shift_images)
    net, images = counted.watch(card.build().to(memory_format=torch.channels_last)), load_images(p, n)
    shared = facts(p, card, net)
    measure_accuracy(net, p, images, store, run.id, shared)
    evaluate(net, p, images[:p.images], store, run.id, shared)
    return counted

def roar_run(p, run, store):
    "What sweeps/roar does"
    counted, study = Counted(), roar_study(p, store.folder)
    make = study.make
    study.make = lambda: counted.watch(make())
    run_roar(study, **run.parameters)
    return counted

@pytest.mark.parametrize('job,do', [('evaluate', evaluate_run), ('roar', roar_run)])
def test_counts_are_exact_and_times_reported(job, do, tmp_path):
    torch.set_num_threads(1)
    p, store = customize_profile('smoke', job), Store(tmp_path)
    made = plan(p)
    found = estimate(made, measure_timings(made, threads=1))
    assert found.table.loc['all', 'runs'] == len(made.runs) and found.table.loc['all', 'units'] == sum(len(r.units) for r in made.runs)
    assert found.table.loc['all', 'passes'] == sum(r.passes for r in made.runs) and found.table.loc['all', 'trainings'] == sum(r.trainings for r in made.runs)
    real = {}
    for r in made.runs:
        start = time.perf_counter()
        counted = do(p, r, store)
        real[r.id] = time.perf_counter() - start
        composing = [w.passes for w in made.work if w.run == r.id and w.what in metric_registry and metric_registry[w.what].composes]
        assert r.passes - sum(composing) <= counted.all <= r.passes, r.name # Images that find no place in a grid are only classified
        assert counted.all == r.passes or composing, r.name
        assert counted.trained == r.images_trained, r.name
        assert done_units(store, r) == len(r.units)
        assert len(store.read([r.id]).query("metric == 'training_loss' and at == 1")) == r.trainings
    guessed = found.run_seconds
    assert all(0 < s < math.inf for s in guessed.values()) and 0 < found.longest <= found.seconds < math.inf
    rows = sum(u.stat().st_size for u in store.units())
    print(f"\n{job}: estimated {sum(guessed.values()):.1f} s, took {sum(real.values()):.1f} s: {sum(guessed.values())/sum(real.values()):.2f} of it; rows {found.bytes['rows']/rows:.2f} of {rows/1e6:.1f} MB")
    if job == 'roar': assert found.bytes['ranks'] == sum(f.stat().st_size - 128 for f in tmp_path.rglob('ranks/*/*.npy')) # Header of NumPy's format

def test_the_command(tmp_path):
    file = tmp_path/'here.json'
    args = ['--profile', 'smoke', '--models', 'demo/resnet', '--explainers', 'gradient', '--metrics', 'insertion', '--timings', file]
    first = children.call('xainb-plan', *args, '--price', '2.5', '--gpus', '8')
    assert first.returncode == 0 and 'At 2.5 an hour for each' in first.stdout and 'With 8 workers of this speed' in first.stdout, first.stdout + first.stderr
    kept = json.loads(file.read_text()) | dict(machine='another one')
    MachineTimings(**kept).save(file)
    there = children.call('xainb-plan', *args, '--speed-up', '10')
    assert 'Measured on another one' in there.stdout and '10 times as fast, which is your number' in there.stdout, there.stderr
    for wrong, why in [(['--explainers', 'rise'], "the timings of another one do not include 'explanations, rise"), (['--price', '-1'], '--price is the price of an hour, at least 0, not -1'), (['--metrics', 'insertoin'], "did you mean 'insertion'?")]:
        run = children.call('xainb-plan', *args, *wrong)
        assert run.returncode == 2 and run.stderr.startswith('xainb-plan: ') and why in run.stderr and run.stderr.count('\n') == 1, run.stderr
