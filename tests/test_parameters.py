"Whatever is given for a parameter, an explainer or a metric works, or says in one sentence what is wrong with it."
import math, warnings
import numpy as np, pytest, torch
from torch import nn
from xainb.core import BadInput, NotApplicable, GroundTruth, explainer_registry, metric_registry
import xainb.explainers.boundary, xainb.explainers.cam, xainb.explainers.controls, xainb.explainers.ensembles
import xainb.explainers.learned_masks, xainb.explainers.lrp_composites, xainb.explainers.perturbation, xainb.explainers.rules
import xainb.metrics.complexity, xainb.metrics.fidelity, xainb.metrics.localization, xainb.metrics.perturbation, xainb.metrics.sanity

def tiny_net(channels=3):
    "A network with a feature map, average pooling and a linear layer, whose weights are the same in each run"
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()

net, x, target = tiny_net(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])
ground_truth = GroundTruth(boxes=torch.tensor([[[2., 2, 9, 9]]]*2), mask=torch.zeros(2, 16, 16, dtype=torch.bool).index_fill(1, torch.arange(2, 9), True))
few = dict(n_steps=2, n_samples=4, n_masks=4, channels=2, stops=2, n_segments=6, classes=2, areas=(.1,)) # So that each call is fast
wrong = 0, -1, 10**6, .5, math.nan, math.inf, 'nonsense', '', True, [], [-1], {}, np.int64(0), np.float32('nan'), object()
huge = {'n_steps', 'n_samples', 'n_masks', 'grid', 'boundaries', 'n_segments', 'classes', 'groups', 'search', 'stops', 'jitter', 'blur', 'sigma', 'kernel'}

def cheap(f): return {k: v for k, v in few.items() if k in f.params and not (k == 'channels' and f.params[k] is False)}
def explain(name, **kw): return explainer_registry[name](net, x, target, **(cheap(explainer_registry[name]) | kw))
def measure(name, **kw):
    a, f = torch.linspace(-1, 1, 512).reshape(2, 1, 16, 16).expand(2, 3, 16, 16), metric_registry[name]
    again = dict(explain=lambda m, x, t: explainer_registry['gradient'](m, x, t)) if f.needs == 'explainer' else {}
    return f(net, x, target, a, ground_truth, **(cheap(f) | again | kw))

cases = [(explain, n, k) for n, f in explainer_registry.items() for k in f.params] + [(measure, n, k) for n, f in metric_registry.items() for k in f.params]

@pytest.mark.parametrize('call, name, param', cases, ids=[f'{n}-{k}' for _, n, k in cases])
def test_wrong_values(call, name, param):
    for value in wrong:
        if isinstance(value, int) and value == 10**6 and param in huge: continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                found = call(name, **{param: value})
        except NotApplicable as e: assert len(str(e)) > 20
        except BadInput as e:
            said = str(e)
            assert '\n' not in said and len(said) > 20, (value, said)
            assert name in said or param in said or str(value) in said, (value, said)
        except Exception as e: pytest.fail(f'{name}({param}={value!r}) raises {type(e).__name__}: {e}')
        else:
            if call is explain: assert found.isfinite().all(), (value, 'not finite')

def given(call, name, param):
    f = (explainer_registry if call is explain else metric_registry)[name]
    return cheap(f).get(param, f.params[param])

numeric = [c for c in cases if isinstance(given(*c), (int, float)) and not isinstance(given(*c), bool)]

@pytest.mark.parametrize('call, name, param', numeric, ids=[f'{n}-{k}' for _, n, k in numeric])
def test_numpy_numbers(call, name, param):
    "A number of numpy's, as profiles and tables hold them, gives what the same Python number gives"
    value = given(call, name, param)
    try: a, b = (call(name, **{param: v}) for v in (value, np.int64(value) if isinstance(value, int) else np.float64(value)))
    except NotApplicable as e: return
    assert torch.equal(a, b) if call is explain else a.equals(b)

@pytest.mark.parametrize('name', ['occlusion', 'rise', 'lime', 'kernel_shap', 'integrated_gradients', 'boundary_integrated_gradients', 'scorecam', 'groupcam'])
def test_costs(name):
    "The cost of parameters that are wrong is refused like the call itself"
    f = explainer_registry[name]
    for param in set(f.params) & {'window', 'stride', 'n_masks', 'n_samples', 'n_steps', 'boundaries', 'channels', 'groups'}:
        for value in (0, -1, 'many', math.nan):
            with pytest.raises(BadInput, match=f'{name}: {param} is'): f.cost(**{param: value})
