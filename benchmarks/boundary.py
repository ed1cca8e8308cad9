"""What the boundary search costs beside foolbox's pipeline, in passes and seconds per image, and how near both come.

    python benchmarks/boundary.py [--quick] [--nets demo/resnet,demo/resnet_robust] [--cifar FOLDER] [--images 16] [--starts 2] [--only 'ours*'] [--rounds 1] [--out benchmarks/boundary.csv]

Both run in turn, in one process, on the same images in [0,1] and the same network, one batch of all images. Foolbox's pipeline is that of the published code, PGD in balls of seven radii and then
Carlini and Wagner's attack with nine constants, with steps as meant; `published steps` is its PGD with the steps as they were. FOLDER has CIFAR-10 and the vanilla and robust ResNet-20 as `/cifar10` files.
"""
import warnings
from fnmatch import fnmatch
from time import perf_counter, process_time
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from explainers import Table, circumstances, command
from xainb.core import count_passes, device_of, frozen, logits, seeded
from xainb.data.decoys import DecoyScenes
from xainb.explainers.boundary_search import boundary_search
from xainb.models.zoo import build_model

radii = 36/255, 64/255, .3, .5, .7, .9, 1.1

# Networks and images

class Block(nn.Module):
    "A residual block whose shortcut takes every other pixel and appends channels of zeros (option A)"
    def __init__(self, i, o):
        super().__init__()
        self.stride, self.more = o//i, o - i
        self.conv_a, self.bn_a = nn.Conv2d(i, o, 3, o//i, 1, bias=False), nn.BatchNorm2d(o)
        self.conv_b, self.bn_b = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
    def forward(self, x):
        y = self.bn_b(self.conv_b(F.relu(self.bn_a(self.conv_a(x)))))
        return F.relu(y + F.pad(x[..., ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.more)))

class ResNet20(nn.Module):
    "For CIFAR-10; takes images in [0,1]"
    def __init__(self):
        super().__init__()
        self.conv_1_3x3, self.bn_1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.stage_1, self.stage_2, self.stage_3 = (nn.Sequential(Block(i, o), Block(o, o), Block(o, o)) for i, o in ((16, 16), (16, 32), (32, 64)))
        self.classifier = nn.Linear(64, 10)
    def forward(self, x):
        x = self.stage_3(self.stage_2(self.stage_1(F.relu(self.bn_1(self.conv_1_3x3(x))))))
        return self.classifier(x.mean((2, 3)))

def cifar_net(folder, name):
    net = ResNet20()
    net.load_state_dict(load_file(f'{folder}/cifar10/{name}.safetensors'))
    return net.eval()

def cifar_images(folder, n):
    with np.load(f'{folder}/cifar10/cifar10_lossless.npz') as d: return torch.tensor(d['test_images'][:n]).permute(0, 3, 1, 2)/255

def cifar_labels(folder, n):
    with np.load(f'{folder}/cifar10/cifar10_lossless.npz') as d: return torch.tensor(d['test_labels'][:n]).long()

def cases(a):
    "Name, network, images"
    for n in filter(None, a.nets.split(',')): yield n, build_model(n), DecoyScenes('test', n=a.images, seed=0).x
    for n in ('resnet20_vanilla', 'resnet20_linf_adv') if a.cifar else (): yield f'cifar10/{n}', cifar_net(a.cifar, n), cifar_images(a.cifar, a.images)

# What is measured

def by_foolbox(net, x, y, wrong=False, cw=100, n_steps=40):
    "Distances of the closest points of foolbox's pipeline"
    import foolbox
    f, best = foolbox.PyTorchModel(net, bounds=(0, 1), device=device_of(net)), torch.full((len(x),), torch.inf, device=x.device)
    def take(p): best.copy_(torch.where(logits(net, p).argmax(1) != y, torch.minimum(best, (p - x).flatten(1).norm(dim=1)), best))
    with seeded(0):
        for r in radii: take(foolbox.attacks.L2PGD(rel_stepsize=2*(r if wrong else 1)/n_steps, steps=n_steps)(f, x, y, epsilons=[r])[1][0])
        if cw: take(foolbox.attacks.L2CarliniWagnerAttack(stepsize=.01, steps=cw)(f, x, y, epsilons=[None])[1][0])
    return best

def timed(net, f, rounds):
    "What it gave, passes, and seconds of each round, on the clock and of the processor"
    seconds = []
    with frozen(net):
        for _ in range(rounds):
            with count_passes(net) as n:
                start = perf_counter(), process_time()
                found = f()
                if found.device.type == 'cuda': torch.cuda.synchronize()
                seconds.append((perf_counter() - start[0], process_time() - start[1]))
    return found, n.forward + n.backward, np.array(seconds).T

def measure(name, net, x, a, device):
    "A row for each way of searching, ours first"
    net, x = net.to(device), x.to(device)
    y, n = logits(net, x).argmax(1), len(x)
    def ours(**kw): return lambda: boundary_search(net, x, cache=False, **kw).distance[:, 0]
    ways = {'ours, 1 start': ours(), f'ours, {a.starts} starts': ours(points=a.starts),
            'foolbox, published steps, PGD': lambda: by_foolbox(net, x, y, wrong=True, cw=0), 'foolbox, PGD': lambda: by_foolbox(net, x, y, cw=0), 'foolbox, PGD and CW': lambda: by_foolbox(net, x, y)}
    found = {w: timed(net, f, a.rounds) for w, f in ways.items() if w == 'foolbox, PGD and CW' or any(fnmatch(w, p) for p in a.only.split('|'))}
    base, base_passes, base_seconds = found['foolbox, PGD and CW']
    for w, (d, passes, s) in found.items():
        ok, both = d.isfinite(), d.isfinite() & base.isfinite()
        faster, by_cpu = base_seconds/s
        yield dict(net=name, images=n) | circumstances(device, a.rounds) | dict(search=w, failed=int((~ok).sum()), distance=d[ok].median().item(), passes=passes/n, seconds=np.median(s[0])/n, cpu_seconds=np.median(s[1])/n,
                   fewer_passes=base_passes/passes, faster=np.median(faster), faster_low=faster.min(), faster_high=faster.max(), faster_cpu=np.median(by_cpu),
                   distance_ratio=(d/base)[both].median().item(), mean_ratio=(d[both].mean()/base[both].mean()).item(), at_least_as_near=(d <= 1.001*base).float().mean().item())

def main():
    a = command(__doc__, 'four images, one round', nets=('demo/resnet,demo/resnet_robust', 'networks of the demo zoo'), cifar=('', 'a folder with the CIFAR-10 pair'), images=(16, 'how many'), starts=(2, 'of the second search of ours'), only=('*', 'searches beside the whole pipeline, with wildcards, separated by |'))
    if a.quick: a.images, a.rounds = 4, 1
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    table = Table(a.out, '{net:26} {search:30} failed {failed:3} distance {distance:.4f}  passes {passes:6.0f}  {seconds:.3f} s per image  {faster:6.1f} x faster ({faster_cpu:.1f} in processor time)  ratio {distance_ratio:.3f} (mean {mean_ratio:.3f}), as near {at_least_as_near:.0%}   load {load}', 5)
    for name, net, x in cases(a): table.add(list(measure(name, net, x, a, device)))

if __name__ == '__main__': main()
