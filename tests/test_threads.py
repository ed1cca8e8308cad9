"Threads that explain and measure at the same time give what one thread gives, and leave the networks as they were."
import copy, random, sys, threading
import numpy as np, pytest, torch
from torch import nn
import xainb.all
from xainb.checks.metrics import in_tiles
from xainb.checks.explainers import SmallNet, apart, changes, small_images, state_of
from xainb.core import GroundTruth, explainer_registry, metric_registry

search = dict(search=dict(cache=False, radii=(.25, 1., 4.), n_steps=3, cw=3))
few = dict(integrated_gradients=dict(n_steps=4), expected_gradients=dict(n_samples=12), occlusion=dict(window=12, stride=12), rise=dict(n_masks=24), lime=dict(n_samples=16, n_segments=6), kernel_shap=dict(n_samples=16, n_segments=6),
           scorecam=dict(channels=4), groupcam=dict(groups=4), meaningful_perturbation=dict(n_steps=4), extremal_perturbation=dict(n_steps=4, areas=(.2, .4)),
           smoothgrad=dict(n_samples=3), smoothgrad_squared=dict(n_samples=3), vargrad=dict(n_samples=3), adversarial_gradient_integration=dict(n_steps=3),
           boundary_saliency_map=dict(search=dict(radii=(.25, 1., 4.), n_steps=3, cw=3)), boundary_integrated_gradients=dict(n_steps=3) | search, boundary_deep_lift=search, boundary_smoothgrad=dict(n_samples=2) | search)
few_of_metric = dict(parameter_randomization=dict(stops=2), max_sensitivity=dict(n_samples=2), infidelity=dict(n_samples=4), insertion=dict(n_steps=3), deletion=dict(n_steps=3), fidelity=dict(n_steps=3), f_fidelity=dict(n_samples=2), single_deletion=dict(patches=2), road=dict(fractions=(.2, .5)), tile_scores=dict(only_decided=False))
names = [n for n, e in explainer_registry.items() if e.__module__.startswith('xainb.') and e.family != 'attention'] # A CNN has none

x = small_images()
target = torch.tensor([0, 3, 1])
inside = torch.zeros(3, 24, 36, dtype=torch.bool); inside[:, 4:14, 6:20] = True
ground_truth = in_tiles(GroundTruth(torch.tensor([[[6., 4, 20, 14]]]*3), inside), x)

def explained(name, net): return explainer_registry[name](net, x, target, **few.get(name, {}))

def measured(name, net):
    a = x - x.mean((2, 3), keepdim=True)
    rows = metric_registry[name](net, x, target, a, ground_truth, explain=explainer_registry['input_x_gradient'], **few_of_metric.get(name, {}))
    return torch.tensor(rows.value.to_numpy())[:, None]

@pytest.fixture(autouse=True)
def threads_take_turns_quickly():
    was = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(was)

def together(jobs, networks):
    "Each of four threads does all `jobs` {name: function of a network}, beginning with another one; what is not as it is alone"
    net = SmallNet()
    alone = {name: f(copy.deepcopy(net)) for name, f in jobs.items()}
    start, wrong, order = threading.Barrier(4), [], list(jobs)
    drawn = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    def work(i):
        first = i*len(order)//4
        start.wait()
        for name in order[first:] + order[:first]:
            try: found = jobs[name](networks[i % len(networks)])
            except Exception as e: wrong.append((name, repr(e)))
            else:
                if apart(alone[name], found) > 1e-5: wrong.append((name, apart(alone[name], found)))
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join(300)
    assert not any(t.is_alive() for t in threads), 'threads wait for each other'
    if drawn[0].tolist() != torch.get_rng_state().tolist() or drawn[1:] != (np.random.get_state()[1].tobytes(), random.getstate()): wrong.append('numbers were drawn that all threads share')
    return wrong

def disordered(training):
    "A network as somebody may have left it"
    net = SmallNet().train(training)
    net.features[1].eval()
    net.fc.bias.requires_grad_(False)
    return net

ways = dict(one=lambda net: [net], wrapped=lambda net: [net, nn.Sequential(net).train(net.training)], two=lambda net: [net, copy.deepcopy(net)])

full = [(training, networks) for training in (True, False) for networks in ways]

@pytest.mark.parametrize('training,networks', [pytest.param(*p, marks=[] if p == (True, 'one') else pytest.mark.slow, id=f"{'training' if p[0] else 'evaluation'}-{p[1]}") for p in full])
def test_explainers(training, networks):
    jobs = {n: lambda net, n=n: explained(n, net) for n in names}
    nets = ways[networks](disordered(training))
    before = [state_of(n) for n in nets]
    assert together(jobs, nets) == []
    assert [changes(b, state_of(n)) for b, n in zip(before, nets)] == [[] for _ in nets]

@pytest.mark.parametrize('networks', ['one', 'two'])
def test_metrics(networks):
    jobs = {n: lambda net, n=n: measured(n, net) for n in metric_registry if metric_registry[n].__module__.startswith('xainb.') and not metric_registry[n].composes}
    nets = ways[networks](disordered(True))
    before = [state_of(n) for n in nets]
    assert together(jobs, nets) == []
    assert [changes(b, state_of(n)) for b, n in zip(before, nets)] == [[] for _ in nets]
