"Images with one, two, four or eleven channels work everywhere, and a gray image is worth what its copy with three equal channels is."
import pytest, torch
from functools import partial
from torch import nn, Tensor
from xainb.core import NotApplicable, SaliencyMap, explainer_registry, metric_registry, pixel_map
from xainb.data.images import edges, luminance
from xainb.data.shifts import corrupt, severities
from xainb.explainers.perturbation import superpixels
from xainb.metrics.conventions import conventions
from xainb.metrics.perturbation import fills, filled
from xainb.models.zoo import normalized
from xainb.viz import show_maps
from test_parameters import few, ground_truth

class Averaged(nn.Module):
    "A network that looks at the mean of the channels, whatever their number"
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 8, 3, 2, 1), nn.Linear(8, 3)
        with torch.no_grad(): self.head.weight *= 6
        self.relu, self.pool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    def forward(self, x): return self.head(self.pool(self.relu(self.conv(x.mean(1, keepdim=True)))).flatten(1))

net, target = Averaged().eval().double(), torch.tensor([0, 2])
gray = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.double)
copy = gray.repeat(1, 3, 1, 1)
random = {'smoothgrad', 'smoothgrad_squared', 'vargrad', 'boundary_smoothgrad', 'random_control', 'blurred_random'} # Their noise has as many channels as the image
search = {'boundary_saliency_map', 'boundary_integrated_gradients', 'boundary_deep_lift', 'adversarial_gradient_integration'} # A nearest point in another space; distances grow with the channels

def small(name): return {k: v for k, v in few.items() if k in explainer_registry[name].params and explainer_registry[name].params[k] is not False}
def explain(name, x, **kw): return explainer_registry[name](net, x, target, **(small(name) | kw))

@pytest.mark.parametrize('name', [n for n in explainer_registry if n not in random | search])
def test_gray_and_its_copy(name):
    "Equal maps up to a factor, and equal scores"
    try: a, b = explain(name, gray), explain(name, copy)
    except NotApplicable: return
    one, three = pixel_map(a, channels=1), pixel_map(b, channels=3)
    scale = three.abs().amax()/one.abs().amax()
    assert torch.allclose(torch.as_tensor(one)*scale, three, atol=1e-6*float(three.abs().amax())), (one*scale - three).abs().max()/three.abs().max()
    if name in ('constant',): return
    for m in ('fidelity', 'deletion', 'insertion', 'pointing_game', 'mask_energy', 'sparseness'):
        n_steps = dict(n_steps=4) if 'n_steps' in metric_registry[m].params else {}
        p, q = (metric_registry[m](net, x, target, v, ground_truth, **n_steps).value for x, v in ((gray, a), (copy, b)))
        assert abs(p - q).max() < 1e-6, (m, abs(p - q).max())

def test_signs_are_kept_where_maps_are_per_pixel():
    a = explain('occlusion', gray)
    assert isinstance(a, SaliencyMap) and isinstance(torch.cat([a[:1], a[1:]]), SaliencyMap) and pixel_map(a, channels=1).min() < 0
    assert not isinstance(explain('gradient', gray), SaliencyMap) and pixel_map(explain('gradient', gray), channels=1).min() >= 0
    assert isinstance(explain('smoothgrad', gray, base='occlusion'), SaliencyMap) and not isinstance(explain('smoothgrad', gray), SaliencyMap)

@pytest.mark.parametrize('channels', [1, 2, 4, 11])
@pytest.mark.parametrize('name', list(explainer_registry))
def test_any_channels(name, channels):
    x = torch.rand(2, channels, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    try: a = explain(name, x)
    except NotApplicable as e: return
    assert a.shape in ((2, channels, 16, 16), (2, 1, 16, 16)) and a.isfinite().all()
    assert metric_registry['fidelity'](net, x, target, a, n_steps=4).value.notna().all()

@pytest.mark.parametrize('channels', [1, 2, 4, 11])
def test_everything_around(channels):
    x = torch.rand(2, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    for fill in fills: assert filled(x, fill, net).shape == x.shape
    a = torch.rand(2, 1, 16, 16)
    for name, of in conventions.items():
        for m, c in of.items(): assert c.score(net, x.double(), target, a.double()).isfinite().all(), (name, m)
    assert metric_registry['road'](net, x.double(), target, a.double()).value.notna().all()
    assert luminance(x).shape == edges(x).shape == (2, 1, 16, 16)
    for kind in severities: assert corrupt(x, kind, 3).shape == x.shape
    show_maps(x, dict(a=a), names=['one', 'two'])
    assert normalized(net.float(), .5, .25)(x).shape == (2, 3); net.double()
    assert superpixels(x).shape == (2, 16, 16)
