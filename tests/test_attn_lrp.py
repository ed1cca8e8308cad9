"AttnLRP next to the implementation of its authors, `lxt`, which needs an environment of its own (it pins other packages)"
import pytest, torch
from torch import nn
import torch.nn.functional as F
from torchvision.models.vision_transformer import VisionTransformer
from xainb.explainers.attn_lrp import attn_lrp


lxt = pytest.importorskip('lxt', reason="lxt is not installed: it needs transformers<4.56 and huggingface-hub<1, which our constraints exclude")
try:
    from lxt.efficient import monkey_patch, monkey_patch_zennit
    from lxt.efficient.rules import divide_gradient
    import lxt.explicit.functional as lf
except ImportError as e: pytest.skip(f'lxt does not import here: {e}', allow_module_level=True)

def relative_difference(a, b): return ((a - b).abs().max()/b.abs().max()).item()

def randomized(net):
    "In double precision, with biases and norms that are not those of the initialization"
    generator = torch.Generator().manual_seed(0)
    net = net.eval().double().requires_grad_(False)
    for p in net.parameters(): p += .1*torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return net

@pytest.fixture
def patched():
    "lxt changes classes of torch for good, so their methods are put back"
    changed = [(c, c.forward) for c in (nn.GELU, nn.LayerNorm, nn.MultiheadAttention)]
    yield lambda module: monkey_patch(module)
    for c, forward in changed: c.forward = forward

@pytest.fixture
def vit():
    torch.manual_seed(0)
    return randomized(VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5))

x, target = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.double), torch.tensor([1, 3])

def times_gradient(net):
    leaf = x.clone().requires_grad_()
    net(leaf).gather(1, target[:, None]).sum().backward()
    return (leaf*leaf.grad).detach()

def test_constant_softmax_is_cp_lrp(vit, patched):
    from torchvision.models import vision_transformer
    ours, plain = attn_lrp(vit, x, target, softmax='constant'), times_gradient(vit)
    patched(vision_transformer)
    theirs = times_gradient(vit)
    assert relative_difference(ours, theirs) < 1e-7
    assert relative_difference(plain, theirs) > .1

def attends(self, query, key, value, **kw):
    "`nn.MultiheadAttention` with the factors that lxt gives to queries, keys and values"
    q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
    q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
    out = F.scaled_dot_product_attention(divide_gradient(q, 4), divide_gradient(k, 4), divide_gradient(v, 2))
    return self.out_proj(out.transpose(1, 2).flatten(2)), None

def test_taylor_softmax_is_attn_lrp(vit, patched):
    from torchvision.models import vision_transformer
    ours, of_constant = attn_lrp(vit, x, target), attn_lrp(vit, x, target, softmax='constant')
    patched(vision_transformer)
    nn.MultiheadAttention.forward = attends
    theirs = times_gradient(vit)
    assert relative_difference(ours, theirs) < 1e-7
    assert relative_difference(of_constant, theirs) > .01

class Block(nn.Module):
    "One head of attention, a layer norm, a gate and a residual sum, written with functions that can be replaced"
    def __init__(self, f): super().__init__(); self.f, self.w = f, nn.ParameterList([*torch.randn(5, 6, 6)]); self.n = nn.LayerNorm(6)
    def forward(self, x):
        f, z = self.f, x.flatten(2)
        h = f.layer_norm(z, self.n.weight, self.n.bias, self.n.eps)
        q, k, v, a, b = (f.linear_epsilon(h, w, epsilon=1e-12) for w in self.w)
        weights = f.softmax(f.matmul(q, k.transpose(-1, -2), epsilon=1e-12), -1)
        y = f.add2(f.matmul(weights, v, epsilon=1e-12), f.mul2(a, b), epsilon=1e-12)
        return f.mean(f.add2(y, z, epsilon=1e-12), 1, False, epsilon=1e-12)

class Plain:
    layer_norm = staticmethod(lambda z, w, b, eps: F.layer_norm(z, z.shape[-1:], w, b, eps))
    linear_epsilon = staticmethod(lambda z, w, epsilon: F.linear(z, w))
    softmax, matmul = staticmethod(torch.softmax), staticmethod(lambda a, b, epsilon: a @ b)
    add2, mul2 = staticmethod(lambda a, b, epsilon: a + b), staticmethod(torch.mul)
    mean = staticmethod(lambda z, dim, keep, epsilon: z.mean(dim, keep))

def test_rules_are_those_of_explicit_lxt():
    torch.manual_seed(0)
    net, tokens, t = randomized(Block(Plain)), torch.rand(2, 3, 2, 3, dtype=torch.double), torch.tensor([1, 4])
    ours = attn_lrp(net, tokens, t)
    net.f = lf
    leaf = tokens.clone().requires_grad_()
    score = net(leaf).gather(1, t[:, None])
    theirs, = torch.autograd.grad(score, leaf, score.detach())
    assert relative_difference(ours, theirs) < 1e-4 # Its layer norm has an ε of its own

def test_gamma_is_that_of_the_recipe(patched):
    import zennit.rules as rules
    from zennit.core import BasicHook
    from zennit.composites import LayerMapComposite
    from torchvision.models import vision_transformer
    torch.manual_seed(0)
    net = randomized(nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.Flatten(2), nn.Linear(64, 16), nn.GELU(), nn.Flatten(), nn.Linear(128, 5)))
    ours = attn_lrp(net, x, target, gamma=.05, conv_gamma=.25)
    hooks = BasicHook.forward, BasicHook.backward
    patched(vision_transformer); monkey_patch_zennit()
    composite = LayerMapComposite([(nn.Conv2d, rules.Gamma(.25)), (nn.Linear, rules.Gamma(.05))])
    try:
        with composite.context(net) as modified: theirs = times_gradient(modified)
    finally: BasicHook.forward, BasicHook.backward = hooks
    assert relative_difference(ours, theirs) < 1e-4
    assert relative_difference(ours, attn_lrp(net, x, target)) > .1
