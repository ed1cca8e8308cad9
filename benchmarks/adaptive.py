"""How many steps of Insertion and Deletion a tolerance leaves out, and what that does to the areas and to the order of explainers.

    XAINB_DATA=folder python benchmarks/adaptive.py [--out benchmarks/adaptive.csv]

The folder has `imagenet/` (photographs and networks) and `cifar10/`; without it, only the demo networks are measured. All steps of each curve are read once, on a fine grid where images are small;
then `refined` chooses among them, so that every tolerance sees the same curves. How to read the table: benchmarks/README.md.
"""
import argparse, os
from pathlib import Path
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
import xainb.explainers.cam, xainb.explainers.controls, xainb.explainers.gradient
from xainb.core import explainer_registry, pixel_map
from xainb.data.decoys import DecoyScenes
from xainb.data.images import photos
from xainb.metrics.perturbation import blurred, curve_area, perturbation_curves, refined
from xainb.models.zoo import build_model

explainers = dict(gradient={}, integrated_gradients=dict(n_steps=10), smoothgrad=dict(n_samples=10), gradcam={}, random_control={}, sobel={}, center_blob={})
fine, coarse = 112, 28
tolerances = (.05, .02, .01, .005, .002, .001)

# The ResNet-20 of the CIFAR-10 pair

class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv_a, self.bn_a = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv_b, self.bn_b = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.relu, self.relu_out, self.stride, self.added = nn.ReLU(), nn.ReLU(), stride, n_out - n_in
    def forward(self, x):
        y = self.bn_b(self.conv_b(self.relu(self.bn_a(self.conv_a(x)))))
        return self.relu_out(y + F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.added)))

class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_1_3x3, self.bn_1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        for k, (n_in, n_out, stride) in enumerate(((16, 16, 1), (16, 32, 2), (32, 64, 2)), 1):
            setattr(self, f'stage_{k}', nn.Sequential(Block(n_in, n_out, stride), Block(n_out, n_out, 1), Block(n_out, n_out, 1)))
        self.classifier = nn.Linear(64, 10)
    def forward(self, x):
        x = self.stage_3(self.stage_2(self.stage_1(self.relu(self.bn_1(self.conv_1_3x3(x))))))
        return self.classifier(x.mean((2, 3)))

def cifar(path):
    net = ResNet20()
    net.load_state_dict(load_file(path))
    return net.eval()

def cases(folder): # Name, network, images, number of steps
    scenes = DecoyScenes('test', n=48, seed=0).x
    for name in ('resnet', 'alexnet', 'densenet', 'mobilenet_robust'): yield f'demo/{name}', build_model(f'demo/{name}'), scenes, fine
    if not folder: return
    images = torch.tensor(np.load(folder/'cifar10'/'cifar10_lossless.npz')['test_images'][:48]).permute(0, 3, 1, 2)/255
    for name in ('resnet20_vanilla', 'resnet20_linf_adv'): yield f'cifar/{name}', cifar(folder/'cifar10'/f'{name}.safetensors'), images, fine
    kept, net = folder/'imagenet', lambda spec: build_model(spec).to(memory_format=torch.channels_last)
    yield 'imagenet/mobilenet_v2', net(f'torchvision/mobilenet_v2:{kept}/mobilenet_v2.safetensors?mean=0.5&std=0.5'), photos(n=16, folder=str(kept)).x, coarse
    yield 'imagenet/squeezenet1_1', net(f'torchvision/squeezenet1_1:{kept}/squeezenet1_1.safetensors'), photos(n=40, folder=str(kept)).x, coarse

def all_curves(folder) -> dict: # (network, explainer, metric) -> [N,S+1]
    found = {}
    for name, net, x, n_steps in cases(folder):
        with torch.no_grad(): predicted = net(x).argmax(1)
        for e, params in explainers.items():
            maps = pixel_map(explainer_registry[e](net, x, predicted, **params))
            for metric, insert in dict(deletion=False, insertion=True).items():
                c = perturbation_curves(net, x, predicted, maps, blurred(x) if insert else 'mean', insert, n_steps=n_steps)
                found[name, e, metric] = c['probability'].cpu()
        print(name, flush=True)
    return found

def compared(curves, n_steps, tolerance) -> pd.DataFrame: # A row for each curve
    rows = []
    for (network, e, metric), v in curves.items():
        v = v[:, ::(v.shape[1] - 1)//n_steps]
        at = torch.linspace(0, 1, n_steps + 1)
        shorter, evaluated, estimate = refined(lambda new: v, at, len(v), tolerance)
        area, found = curve_area(at, v), curve_area(at, shorter)
        rows.append(pd.DataFrame(dict(network=network, explainer=e, metric=metric, area=area, found=found, error=(found - area).abs(), estimate=estimate, passes=evaluated.float().mean(1))))
    return pd.concat(rows, ignore_index=True)

def pairs_in_order(means) -> list: # Of bools, one for each pair of explainers
    area, found = means.area.to_numpy(), means.found.to_numpy()
    i, j = np.triu_indices(len(means), 1)
    return list((area[i] - area[j])*(found[i] - found[j]) > 0)

def summary(rows, n_steps, tolerance) -> dict:
    means = rows.groupby(['network', 'metric', 'explainer'])[['area', 'found']].mean()
    worst, pairs = rows.loc[rows.error.idxmax()], sum((pairs_in_order(m) for _, m in means.groupby(['network', 'metric'])), [])
    quantiles = {f'error_{q:.0%}': rows.error.quantile(q) for q in (.5, .95, .99, 1)}
    return dict(n_steps=n_steps, tolerance=tolerance, curves=len(rows), passes=rows.passes.mean(), within=(rows.error <= tolerance).mean()) | quantiles | dict(
        worst=f'{worst.network} {worst.explainer} {worst.metric}', mean_change=(means.area - means.found).abs().max(), pairs=len(pairs), same_order=sum(pairs))

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='benchmarks/adaptive.csv')
    curves = all_curves(Path(os.environ['XAINB_DATA']) if 'XAINB_DATA' in os.environ else None)
    save(curves, parser.parse_args().out)

def save(curves, out):
    settings = [(n, t) for n in (coarse, fine) for t in tolerances]
    enough = {n: {k: v for k, v in curves.items() if v.shape[1] > n} for n in (coarse, fine)}
    table = pd.DataFrame([summary(compared(enough[n], n, t), n, t) for n, t in settings]).round(4)
    table.to_csv(out, index=False)
    print(table.to_string())

if __name__ == '__main__': main()
