"""How far attributions at an image are from those at its nearest boundary, on vanilla and robust networks: the rows of the page results/boundary_and_robustness.

    python benchmarks/boundary_theory.py [--quick] [--archs resnet,alexnet] [--seeds 0,1,2] [--pairs FOLDER] [--train 1] [--cifar FOLDER] [--imagenet FOLDER] [--only 'demo*'] [--images 16] [--out nbs/results/boundary_and_robustness]

One row for each network, image and number; what the numbers are is said on the page. Networks that `out` has already stay as they are. Seed 0 is the pair of the package. The pairs of other seeds are
trained by the recipe of the demo zoo where `pairs` has no weights of them, about five minutes for each pair; `--train 1` does nothing else. `cifar` has the two CIFAR-10 networks with their images as
`/cifar10` files (the pairs of the CIFAR-10 zoo explain the same images), `imagenet` two ImageNet networks and photographs with boxes as `/imagenet` files; smoothed networks, which are slow, see a part of the images.
"""
import tempfile, warnings
from fnmatch import fnmatch
from pathlib import Path
warnings.simplefilter('ignore')
import torch, torch.nn.functional as F
from torch import nn
from boundary import cifar_images, cifar_labels, cifar_net
from explainers import command
import pandas as pd
from xainb.core import frozen, logits, metric_rows, seeded
from xainb.data.images import photos
from xainb.data.decoys import DecoyScenes
from xainb.explainers.boundary import adversarial_gradient_integration, boundary_alignment, map_distance
from xainb.explainers.boundary_search import any_class, boundary_search, boundary_side
from xainb.explainers.controls import content_seed, random_control
from xainb.explainers.ensembles import smoothgrad
from xainb.explainers.gradient import gradient, integrated_gradients
from xainb.explainers.rules import deep_lift
from xainb.metrics.localization import boundary_scores
from xainb.models.nets import demo_nets
from xainb.models.training import demo_name, pgd, robust_radius, train_demo
from xainb.models.zoo import build_model, cifar10_records, load_weights, normalized
from xainb.store import Store

radius, draws, ways = .25, 8, 20

class Smoothed(nn.Module):
    "The mean score over `n` noisy copies, the noise being the same for all images"
    def __init__(self, net, sigma, shape, n):
        super().__init__()
        self.net, self.noise = net, nn.Buffer(sigma*torch.randn(n, *shape, generator=torch.Generator().manual_seed(0)))
    def forward(self, x): return self.net((x[:, None] + self.noise).flatten(0, 1)).unflatten(0, (len(x), len(self.noise))).mean(1)

def around(x, seed=0):
    "Points on the sphere of `radius` about each image, [draws,N,C,H,W]"
    g = [torch.Generator().manual_seed(content_seed(i, seed)) for i in x]
    d = torch.stack([torch.randn(draws, *x.shape[1:], generator=k) for k in g], 1).to(x)
    return x + radius*d/d.flatten(2).norm(dim=2)[..., None, None, None]

def normal(net, p, y):
    "The derivative of the margin: the normal of the boundary, toward the side of class `y`"
    with frozen(net), torch.enable_grad():
        p = p.detach().requires_grad_()
        return torch.autograd.grad(boundary_side(net(p), y, torch.full_like(y, any_class)).sum(), p)[0]

def _cos(a, b): return F.cosine_similarity(a.flatten(1), b.flatten(1))
def _norm(a): return a.flatten(1).norm(dim=1)

def boundary_pairs(net, x, y, p):
    "More explanations that are scored: at the image and from its boundary point `p`, AGI for small images, and a random one with signs"
    noise = dict(n_samples=10, noise=.034)
    return dict(smoothgrad=smoothgrad(net, x, y, **noise), boundary_smoothgrad=smoothgrad(net, p, y, **noise), deep_lift=deep_lift(net, x, y), boundary_deep_lift=deep_lift(net, x, y, baseline=p),
                random=random_control(net, x, y, channels=True) - .5) | (dict(adversarial_gradient_integration=adversarial_gradient_integration(net, x, y)) if x.shape[-1] < 64 else {})

def right(net, x, y):
    "Rows that say whether each image is classified as labeled, and whether it still is under a 20-step attack in L2"
    with frozen(net), seeded(0): attacked = pgd(net, x, y, robust_radius, 20)
    tables = [metric_rows(k, (logits(net, z).argmax(1) == y).double()) for k, z in dict(right=x, right_attacked=attacked).items()]
    return pd.concat(tables, ignore_index=True)

def measure(net, x, ground_truth=None):
    "Rows of all numbers for the images whose boundary was found"
    b = boundary_search(net, x, points=2)
    alignments = boundary_alignment(net, x, b).dropna(subset='value')
    ok = b.success[:, 0]
    y, p, ids = b.label[ok], b.point[ok, 0], ok.nonzero()[:, 0]
    x = x[ok]
    maps = dict(gradient=gradient(net, x, y), boundary_saliency_map=gradient.__wrapped__(net, p, y), integrated_gradients=integrated_gradients(net, x, y, n_steps=ways), boundary_integrated_gradients=integrated_gradients(net, x, y, n_steps=ways, baseline=p))
    g, n = maps['gradient'], normal(net, p, y)
    apart = torch.stack([_norm(gradient.__wrapped__(net, z, y) - g)/radius for z in around(x)])
    found = dict(distance=b.distance[ok, 0], gradient_bsm=map_distance(g, maps['boundary_saliency_map']), ig_big=map_distance(maps['integrated_gradients'], maps['boundary_integrated_gradients']), way_alignment=_cos(x - p, n),
                 lipschitz=apart.amax(0)/_norm(g), change=_norm(maps['boundary_saliency_map'] - g)/_norm(g))
    table = [alignments] + [metric_rows(k, v).assign(image=ids[metric_rows(k, v).image]) for k, v in found.items()]
    if ground_truth is not None:
        maps |= boundary_pairs(net, x, y, p)
        table += [boundary_scores(net, x, y, a, ground_truth[ok]).assign(explainer=e, image=lambda r: ids[r.image.to_numpy()]) for e, a in maps.items()]
    return pd.concat(table, ignore_index=True)

def trained(folder, arch, training, seed):
    "A demo network: the package's for seed 0, one of `folder` for other seeds, trained if it is not there"
    name, folder = demo_name(arch, training), Path(folder)/f'seed{seed}'
    if not seed: return build_model(f'demo/{name}')
    path = folder/f'{name}.safetensors'
    if training == 'robust': trained(folder.parent, arch, 'vanilla', seed) # From whose weights it starts
    if not path.exists(): print(path, train_demo(arch, training, seed, folder)['measured'], flush=True)
    net = demo_nets[arch]()
    load_weights(net, path)
    return normalized(net, .5, .25).eval()

def smoothed(facts, net, x, sigmas, n=16):
    "The same network, answering with its mean over `n` noisy copies"
    for s in sigmas: yield facts | dict(model=f"{facts['model']} smoothed {s}", training=f'smoothed {s}'), lambda s=s: Smoothed(net(), s, x.shape[1:], n).eval(), x, None, None

def demo_pairs(a):
    "Pairs of all seeds and architectures, with how to get them"
    for seed in map(int, a.seeds.split(',')):
        for arch in a.archs.split(','):
            for training in ('vanilla', 'robust'):
                name = f'demo/{demo_name(arch, training)}' + f' seed {seed}'*(seed > 0)
                yield dict(model=name, arch=arch, training=training, dataset='DecoyScenes', seed=seed), lambda *w: trained(a.pairs, *w), (arch, training, seed)

def zoo_pairs():
    "Facts of the CIFAR-10 zoo's families that are trained twice, vanilla and robust"
    trained = {(r['arch'], r['training']): name for name, r in cifar10_records().items()}
    for arch in dict.fromkeys(arch for arch, _ in trained):
        pair = [dict(model=f'cifar10/{trained[arch, t]}', arch=arch, training=t, dataset='CIFAR-10', seed=0) for t in ('vanilla', 'robust') if (arch, t) in trained]
        if len(pair) == 2: yield from pair

def cases(a):
    "Facts, what makes the network, images, ground truth, labels"
    scenes = DecoyScenes('test', n=a.images, seed=0)
    for f, net, which in demo_pairs(a):
        make = lambda net=net, which=which: net(*which)
        yield f, make, scenes.x, scenes.ground_truth, scenes.y
        if f['training'] == 'vanilla': yield from smoothed(f, make, scenes.x[:max(a.images//8, 1)], (.05, .1, .2))
    if a.cifar:
        x, y = cifar_images(a.cifar, a.images), cifar_labels(a.cifar, a.images)
        facts = [dict(model=f'cifar10/{name}', arch='resnet20', training=training, dataset='CIFAR-10', seed=0) for training, name in dict(vanilla='resnet20_vanilla', robust='resnet20_linf_adv').items()]
        for f in facts: yield f, lambda f=f: cifar_net(a.cifar, f['model'].split('/')[1]), x, None, y
        yield from smoothed(facts[0], lambda: cifar_net(a.cifar, 'resnet20_vanilla'), x[:max(a.images//8, 1)], (.05, .1, .2), 8)
        for f in zoo_pairs(): yield f, lambda f=f: build_model(f['model']), x, None, y
    if a.imagenet:
        found = photos(a.photographs, folder=f'{a.imagenet}/imagenet')
        for arch, end in (('squeezenet1_1', ''), ('mobilenet_v2', '?mean=0.5&std=0.5')):
            yield dict(model=f'torchvision/{arch}', arch=arch, training='vanilla', dataset='ImageNet', seed=0), lambda arch=arch, end=end: build_model(f'torchvision/{arch}:{a.imagenet}/imagenet/{arch}.safetensors{end}'), found.x, found.ground_truth, None

def main():
    a = command(__doc__, 'four images', archs=('resnet,alexnet', 'families of the demo zoo'), seeds=('0,1,2', 'of the trainings'), pairs=('pairs', 'a folder with the weights of other seeds than 0'),
                train=(0, '1 to train the missing pairs and stop'), cifar=('', 'a folder with the CIFAR-10 pair'), imagenet=('', 'a folder with ImageNet networks and photographs'),
                only=('*', 'networks, with wildcards'), images=(128, 'how many scenes and CIFAR-10 images'), photographs=(16, 'how many'))
    if a.quick: a.images, a.photographs = 4, 2
    if a.train: return [net(*which) and None for _, net, which in demo_pairs(a)]
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    kept = Store(a.out).read() if a.out and (Path(a.out)/'rows.parquet').exists() else None
    with tempfile.TemporaryDirectory() as tmp:
        store = Store(tmp)
        for i, (facts, net, x, ground_truth, y) in enumerate(cases(a)):
            if not fnmatch(facts['model'], a.only) or kept is not None and facts['model'] in set(kept.model): continue
            net = net().to(device)
            found = measure(net, x.to(device), ground_truth)
            if y is not None: found = pd.concat([found, right(net, x.to(device), y.to(device))], ignore_index=True)
            store.write('boundary', f'{i}', found.assign(image=found.image.astype(str)), **facts, split='test')
            print(facts['model'], found[found.explainer.isna() if 'explainer' in found else slice(None)].groupby('metric').value.mean().round(3).to_dict(), flush=True)
            if a.out: store.pack(a.out, pd.concat([kept, store.read()]))

if __name__ == '__main__': main()
