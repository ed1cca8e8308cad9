"""How far attributions at an image are from those at its nearest boundary, on vanilla and robust networks: the rows of the page results/boundary_and_robustness.

    python benchmarks/boundary_theory.py [--quick] [--archs resnet,alexnet] [--cifar FOLDER] [--images 16] [--out nbs/results/boundary_and_robustness]

One row for each network, image and number; what the numbers are is said on the page.
"""
import tempfile, warnings
warnings.simplefilter('ignore')
import torch, torch.nn.functional as F
from torch import nn
from boundary import cifar_images, cifar_net
from explainers import command
import pandas as pd
from xainb.core import frozen, logits, rows
from xainb.data import DigitScenes
from xainb.explainers.boundary import big, bsm, map_distance
from xainb.explainers.boundary_search import any_class, boundary_search, boundary_side
from xainb.explainers.controls import content_seed
from xainb.explainers.gradient import gradient, integrated_gradients
from xainb.metrics.localization import boundary_scores, mask_energy
from xainb.models import load_model
from xainb.store import Store

radius, draws, ways = .25, 8, 20

class Smoothed(nn.Module):
    "The mean score over `n` noisy copies, the noise being the same for all images"
    def __init__(self, net, sigma, n=16, shape=(3, 32, 32)):
        super().__init__()
        self.net, self.noise = net, nn.Buffer(sigma*torch.randn(n, *shape, generator=torch.Generator().manual_seed(0)))
    def forward(self, x): return self.net((x[:, None] + self.noise).flatten(0, 1)).unflatten(0, (len(x), len(self.noise))).mean(1)

def around(x, seed=0):
    "Points on the sphere of `radius` about each image, [draws,N,C,H,W]"
    g = [torch.Generator().manual_seed(content_seed(i, seed)) for i in x]
    d = torch.stack([torch.randn(draws, *x.shape[1:], generator=k) for k in g], 1).to(x)
    return x + radius*d/d.flatten(2).norm(dim=2)[..., None, None, None]

def normal(net, p, y):
    "The derivative of the margin: the normal of the boundary, towards the side of class `y`"
    with frozen(net), torch.enable_grad():
        p = p.detach().requires_grad_()
        return torch.autograd.grad(boundary_side(net(p), y, torch.full_like(y, any_class)).sum(), p)[0]

def _cos(a, b): return F.cosine_similarity(a.flatten(1), b.flatten(1))
def _norm(a): return a.flatten(1).norm(dim=1)

def measure(net, x, truth=None):
    "Rows of all numbers for the images whose boundary was found"
    b = boundary_search(net, x, points=2)
    ok = b.success[:, 0]
    y, p, ids = b.label[ok], b.point[ok, 0], ok.nonzero()[:, 0]
    x = x[ok]
    maps = dict(gradient=gradient(net, x, y), bsm=gradient.__wrapped__(net, p, y), integrated_gradients=integrated_gradients(net, x, y, steps=ways), big=integrated_gradients(net, x, y, steps=ways, baseline=p))
    g, n = maps['gradient'], normal(net, p, y)
    apart = torch.stack([_norm(gradient.__wrapped__(net, z, y) - g)/radius for z in around(x)])
    found = dict(distance=b.distance[ok, 0], gradient_bsm=map_distance(g, maps['bsm']), ig_big=map_distance(maps['integrated_gradients'], maps['big']), alignment=_cos(g, n), way_alignment=_cos(x - p, n),
                 lipschitz=apart.amax(0)/_norm(g), change=_norm(maps['bsm'] - g)/_norm(g))
    table = [rows(k, v).assign(image=ids[rows(k, v).image]) for k, v in found.items()]
    if truth is not None:
        for e, a in maps.items(): table += [f(net, x, y, a, truth[ok]).assign(explainer=e, image=lambda r: ids[r.image.to_numpy()]) for f in (boundary_scores, mask_energy)]
    return pd.concat(table, ignore_index=True)

def cases(a):
    "Facts, network, images, truth"
    scenes = DigitScenes('test', n=a.images, seed=0)
    for arch in a.archs.split(','):
        for training in ('vanilla', 'robust'):
            yield dict(model=f'demo/{arch}' + '_robust'*(training == 'robust'), arch=arch, training=training, dataset='DigitScenes'), load_model(f'demo/{arch}' + '_robust'*(training == 'robust')), scenes.x, scenes.truth
    for sigma in (.05, .1, .2): yield dict(model=f'demo/{a.archs.split(",")[0]} smoothed {sigma}', arch=a.archs.split(',')[0], training=f'smoothed {sigma}', dataset='DigitScenes'), Smoothed(load_model(f'demo/{a.archs.split(",")[0]}'), sigma).eval(), scenes.x[:a.images//2], None
    for training, name in dict(vanilla='resnet20_vanilla', robust='resnet20_linf_adv').items() if a.cifar else ():
        yield dict(model=f'cifar10/{name}', arch='resnet20', training=training, dataset='CIFAR-10'), cifar_net(a.cifar, name), cifar_images(a.cifar, a.images), None

def main():
    a = command(__doc__, 'four images', archs=('resnet,alexnet', 'families of the demo zoo'), cifar=('', 'a folder with the CIFAR-10 pair'), images=(16, 'how many'))
    if a.quick: a.images = 4
    with tempfile.TemporaryDirectory() as tmp:
        store = Store(tmp)
        for i, (facts, net, x, truth) in enumerate(cases(a)):
            found = measure(net, x, truth)
            store.write('boundary', f'{i}', found.assign(image=found.image.astype(str)), **facts, split='test', seed=0)
            print(facts['model'], found[found.explainer.isna() if 'explainer' in found else slice(None)].groupby('metric').value.mean().round(3).to_dict(), flush=True)
            if a.out: store.pack(a.out, store.read())

if __name__ == '__main__': main()
