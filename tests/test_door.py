"Every explainer on networks of every kind: the right attribution, or one sentence that says why there is none."
import warnings
import pytest, torch
from torch import nn
import xainb.all
from xainb.checks.explainers import SmallNet, apart, small_images
from xainb.core import BadInput, NotApplicable, Scores, explainer_registry
from test_threads import explained, few, names, target, x

of_the_network = [n for n in names if explainer_registry[n].family != 'control']
net = SmallNet()

class Around(nn.Module):
    "A network, and what happens before and after it"
    def __init__(self, net, before=lambda x: x, after=lambda out: out): super().__init__(); self.net, self.before, self.after = net, before, after
    def forward(self, x): return self.after(self.net(self.before(x)))

def given(name, model, **kw):
    try: return explainer_registry[name](model, kw.get('x', x), kw.get('target', target), **few.get(name, {}))
    except (BadInput, NotApplicable) as e: return f'{type(e).__name__}: {e}'

def agree(model, like=net, where=of_the_network, **kw):
    "Explainers that say something else about `model` than about the network that it is like"
    wanted = {n: given(n, like, **(kw | dict(x=x))) for n in where}
    found = {n: given(n, model, **kw) for n in where}
    same = lambda a, b: a == b if isinstance(a, str) or isinstance(b, str) else apart(a, b) < 1e-4
    return [n for n in where if not same(wanted[n], found[n])]

def reasons(model, where=of_the_network): return {given(n, model) if isinstance(given(n, model), str) else 'an attribution' for n in where}

def test_a_network_that_changes_its_images_in_place():
    was = x.clone()
    assert agree(Around(net, lambda x: x.sub_(.5).div_(.25)), Around(net, lambda x: (x - .5)/.25)) == []
    assert torch.equal(x, was)

@pytest.mark.parametrize('after', [lambda out: (out, out[:, :, None, None]), lambda out: dict(hidden=out[:, :2], logits=out)], ids=['tuple', 'dictionary'])
def test_outputs_that_hold_the_scores(after):
    plain = [n for n in of_the_network if n not in ('cam',)]
    assert agree(Around(net, after=after), where=plain) == []

def test_inside_inference_mode():
    with torch.inference_mode(): assert agree(net, x=x.clone(), target=target.clone()) == []

def test_one_class_for_all_images(): assert agree(net, target=3) == []

@pytest.mark.parametrize('kind', [lambda: torch.jit.script(net), lambda: torch.jit.trace(net, x), lambda: torch.jit.freeze(torch.jit.script(net))], ids=['script', 'trace', 'freeze'])
def test_scripted(kind):
    hidden = [n for n in of_the_network if 'feature maps' in explainer_registry[n].facts['needs'] or explainer_registry[n].family == 'attention' or n in ('guided_backprop', 'deconvnet', 'deep_lift', 'deep_lift_shap', 'lrp_epsilon', 'attn_lrp', 'lrp', 'boundary_deep_lift')]
    searching = ('boundary_saliency_map', 'boundary_integrated_gradients') # A frozen network rounds otherwise, and a search may end at another point of the boundary
    assert agree(kind(), where=[n for n in of_the_network if n not in (*hidden, *searching)]) == []
    assert not [n for n in searching if isinstance(given(n, kind()), str)]
    assert all(r.startswith('Refused: ') and 'scripted' in r for r in reasons(kind(), hidden))

@pytest.mark.parametrize('kind', ['half', 'bfloat16'])
def test_half_precision_gives_finite_float32(kind):
    for n in (n for n in of_the_network if explainer_registry[n].family != 'attention'): # Not defined for this network
        a = given(n, getattr(SmallNet(), kind)())
        assert not isinstance(a, str) and a.dtype == torch.float32 and a.isfinite().all(), n

def test_relevance_of_a_float16_network_is_that_of_its_weights_in_float32():
    rounded = SmallNet().half()
    for n in ('lrp_epsilon', 'lrp', 'deep_lift', 'guided_backprop'): assert apart(given(n, SmallNet().half().float()), given(n, rounded)) < 1e-5

def test_two_classes_by_one_column():
    one = SmallNet(1)
    two = Around(one, after=lambda z: nn.functional.pad(z, (1, 0)))
    assert agree(Scores(one, 'logit'), two, target=1) == []
    assert all('gives one column' in r for r in reasons(one))

@pytest.mark.filterwarnings('ignore:the scores of')
def test_a_score_that_ignores_the_image():
    flat = Around(net, after=lambda out: torch.ones(len(out), 5))
    for n in ('gradient', 'input_x_gradient', 'integrated_gradients', 'expected_gradients', 'deep_lift', 'lrp_epsilon', 'lrp', 'smoothgrad', 'vargrad', 'occlusion', 'kernel_shap', 'adversarial_gradient_integration'):
        assert given(n, flat).abs().max() < 1e-6, n

def test_a_network_that_stops_the_gradient():
    gradients = [n for n in of_the_network if 'gradients' in explainer_registry[n].facts['needs']]
    assert all(r.startswith('NotApplicable: no gradient of the scores') for r in reasons(Around(net, after=lambda out: out.detach()), gradients))

def test_probabilities_are_reported_once():
    certain = nn.Sequential(net, nn.Softmax(1))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        for n in ('rise', 'occlusion'): given(n, certain)
    assert [str(w.message).split(',')[0] for w in seen] == ['Sequential gives probabilities']
