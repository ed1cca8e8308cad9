"""How long noisy linear imputation (ROAD) takes beside the grad-cam library's, and how far the two are apart.

    python benchmarks/imputation.py [--quick] [--rounds 3] [--images 8] [--side 224] [--threads 2] [--out benchmarks/imputation.csv]

Both impute the same pixels of the same images, in turn, in one process: ours all images of a level at once, on the GPU if there is one, grad-cam's one after the other, as it can.
`faster` is grad-cam's seconds over ours in each round, its median and range; `largest_difference` is over all pixels, without the noise, which both draw otherwise. The images lie where the solver works.
"""
import argparse, os, warnings
from time import perf_counter
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from torch import Tensor
from sklearn.datasets import load_sample_images
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from xainb.metrics.imputation import noisy_linear
from xainb.speed import machine

levels = (.1, .2, .3, .4, .5, .7, .9)

def photographs(n:int, side:int) -> Tensor: # [n,3,side,side]
    "Crops of scikit-learn's two photographs"
    whole = [torch.tensor(np.array(p)).permute(2, 0, 1)[None]/255 for p in load_sample_images().images]
    return torch.cat([F.interpolate(whole[i % 2][..., 20*(i//2):20*(i//2)+320, 60*(i//2):60*(i//2)+320], (side, side), mode='bilinear', antialias=True) for i in range(n)]).clamp(0, 1)

def scores(kind:str, n:int, side:int) -> Tensor: # [n,side,side]
    "Maps whose top pixels are removed: `random`, or `compact`, smooth with a few hills"
    g = torch.Generator().manual_seed(0)
    if kind == 'random': return torch.rand(n, side, side, generator=g)
    return F.interpolate(torch.randn(n, 1, 7, 7, generator=g), (side, side), mode='bicubic')[:, 0]

def top(s:Tensor, level:float) -> Tensor: # [n,side,side] of bools
    return s.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(1).view_as(s) < round(level*s[0].numel())

def seconds(f, device):
    if device.type == 'cuda': torch.cuda.synchronize()
    start = perf_counter(); out = f()
    if device.type == 'cuda': torch.cuda.synchronize()
    return perf_counter() - start, out

def measure(x, removed, device, rounds) -> dict:
    "Seconds per image of both, in alternate order"
    there, gone, known, theirs = x.to(device), removed.to(device), (~removed).float(), NoisyLinearImputer(noise=0.)
    calls = {'ours': lambda: noisy_linear(there, gone, noise=0), 'grad-cam': lambda: torch.stack([theirs(i, m) for i, m in zip(x, known)])}
    noisy_linear(there, gone)
    took, outs = {k: [] for k in calls}, {}
    for r in range(rounds):
        for k in list(calls)[::1 - 2*(r % 2)]:
            t, outs[k] = seconds(calls[k], device)
            took[k].append(t/len(x))
    faster = np.array(took['grad-cam'])/np.array(took['ours'])
    return dict(ours_seconds=np.median(took['ours']), grad_cam_seconds=np.median(took['grad-cam']), faster=np.median(faster), faster_low=faster.min(), faster_high=faster.max(),
                largest_difference=(outs['ours'].cpu() - outs['grad-cam']).abs().max().item())

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--images', type=int, default=8)
    p.add_argument('--side', type=int, default=224)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--threads', type=int, default=0, help='for ours; scipy uses one whatever is said. 0 leaves torch its choice')
    p.add_argument('--quick', action='store_true', help='two images, one round, to see that it runs')
    p.add_argument('--out', default='', help='a CSV file')
    a = p.parse_args()
    if a.threads: torch.set_num_threads(a.threads)
    n, rounds = (2, 1) if a.quick else (a.images, a.rounds)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    x, table = photographs(n, a.side), []
    for kind in ('random', 'compact'):
        for level in levels:
            load = round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else np.nan
            row = dict(kind=kind, removed=level, images=n, side=a.side, machine=machine(device), threads=torch.get_num_threads(), torch=torch.__version__, rounds=rounds, load=load)
            table.append(row | measure(x, top(scores(kind, n, a.side), level), device, rounds))
            print('{kind:8} {removed:4.0%}  ours {ours_seconds:.4f} s  grad-cam {grad_cam_seconds:.3f} s per image  {faster:6.1f} x faster ({faster_low:.1f} to {faster_high:.1f})  apart {largest_difference:.0e}  load {load}'.format(**table[-1]), flush=True)
            if a.out: pd.DataFrame(table).round(6).to_csv(a.out, index=False)

if __name__ == '__main__': main()
