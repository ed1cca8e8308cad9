"Functions of the output as targets: each explainer gives what it gives for a model that ends in the function"
import pytest, torch
from torch import nn
from xainb.core import *
from xainb.checks.explainers import SmallNet, small_images
import xainb.explainers.explain, xainb.metrics.fidelity, xainb.metrics.perturbation, xainb.metrics.sanity

few = dict(n_steps=3, n_samples=6, n_masks=12, groups=2)
net, x = SmallNet().eval(), small_images()
def difference(out): return out[:, 2] - 2*out[:, 0]

class Ending(nn.Module):
    "A model whose only score is the function of the output, next to a zero"
    def __init__(self): super().__init__(); self.net = net
    def forward(self, x): return nn.functional.pad(difference(self.net(x))[:, None], (1, 0))

def given(name, model, target, **kw):
    f = explainer_registry[name]
    try: return f(model, x, target, **{k: v for k, v in few.items() if k in f.params}, **kw)
    except NotApplicable as e: return str(e)

reads_probability = {'occlusion', 'rise', 'lime', 'kernel_shap', 'groupcam', 'meaningful_perturbation'}

@pytest.mark.parametrize('name', list_explainers())
def test_a_function_is_explained_like_a_model_that_ends_in_it(name):
    found, expected = given(name, net, difference), given(name, Ending(), 1)
    if isinstance(found, str): return
    if name in reads_probability: assert not torch.allclose(found, expected, rtol=1e-3) # The value, not its sigmoid
    else: torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5*float(expected.abs().max()) + 1e-12)
    alone = given(name, net, difference, batch_size=1)
    torch.testing.assert_close(found, alone, rtol=1e-3, atol=1e-4*float(found.abs().max()) + 1e-12)

def test_what_compares_classes_says_so():
    for name in list_explainers('boundary_*') + ['adversarial_gradient_integration', 'extremal_perturbation']:
        assert 'a target function gives one number' in given(name, net, difference), name

def test_the_model_is_left_as_it_was():
    before = [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]
    for name in ('gradient', 'gradcam', 'lrp_epsilon'): given(name, net, difference)
    assert before == ([m.training for m in net.modules()], [p.requires_grad for p in net.parameters()])
    assert not net._forward_hooks and not net._forward_pre_hooks

def test_labels_are_read_by_a_sigmoid():
    labels, a = Scores(net, 'labels'), torch.rand_like(x)
    z = logits(net, x)
    curve = metric_registry['deletion'](labels, x, 1, a, n_steps=4).query("metric == 'deletion_curve' and at == 0")
    torch.testing.assert_close(torch.tensor(curve.value.values).float(), z[:, 1].sigmoid())
    largest = metric_registry['confidence'](labels, x, 1, None).value.values
    torch.testing.assert_close(torch.tensor(largest).float(), z.amax(1).sigmoid())
    torch.testing.assert_close(given('gradient', labels, 1), given('gradient', net, 1))

def test_a_curve_has_the_units_of_the_function():
    a = torch.rand_like(x)
    rows = metric_registry['insertion'](net, x, difference, a, n_steps=4).query("metric == 'insertion_curve' and at == 1")
    torch.testing.assert_close(torch.tensor(rows.value.values).float(), difference(logits(net, x)), rtol=1e-4, atol=1e-5)
    with pytest.raises(NotApplicable, match='predicts no class'): metric_registry['fidelity'](net, x, difference, a, n_steps=4)
    for name in ('confidence', 'random_logit'):
        with pytest.raises(NotApplicable, match='gives one number'):
            metric_registry[name](net, x, difference, a, explain=explainer_registry['gradient'])
