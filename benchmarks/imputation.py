"""How long noisy linear imputation (ROAD) takes beside the grad-cam library's, and how far the two are apart.

    python benchmarks/imputation.py [--quick] [--rounds 3] [--images 8] [--side 224] [--threads 2] [--out benchmarks/imputation.csv]

Both impute the same pixels of the same images, in turn, in one process: ours all images of a level at once, on the GPU if there is one, grad-cam's one after the other, as it can.
`faster` is grad-cam's seconds over ours in each round, its median and range; `largest_difference` is over all pixels, without the noise, which both draw otherwise. The images lie where the solver works.
"""
import warnings
warnings.simplefilter('ignore')
import numpy as np, torch, torch.nn.functional as F
from torch import Tensor
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from explainers import Table, circumstances, command, photographs, sides, timed
from xainb.metrics.imputation import noisy_linear

levels = (.01, .05, .1, .2, .3, .4, .5, .7, .9)

def scores(kind:str, n:int, side:int) -> Tensor: # [n,side,side]
    "Maps whose top pixels are removed: `random`, or `compact`, smooth with a few hills"
    g = torch.Generator().manual_seed(0)
    if kind == 'random': return torch.rand(n, side, side, generator=g)
    return F.interpolate(torch.randn(n, 1, 7, 7, generator=g), (side, side), mode='bicubic')[:, 0]

def top(s:Tensor, level:float) -> Tensor: # [n,side,side] of bools
    return s.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(1).view_as(s) < round(level*s[0].numel())

def measure(x, removed, device, rounds) -> dict:
    "Seconds per image of both"
    there, gone, known, theirs = x.to(device), removed.to(device), (~removed).float(), NoisyLinearImputer(noise=0.)
    calls = {'ours': lambda: noisy_linear(there, gone, noise=0), 'grad-cam': lambda: torch.stack([theirs(i, m) for i, m in zip(x, known)])}
    noisy_linear(there, gone)
    seconds, found = timed(calls, rounds, device)
    ours, grad_cam = (seconds[n]/len(x) for n in calls)
    faster = grad_cam/ours
    return dict(ours_seconds=np.median(ours), grad_cam_seconds=np.median(grad_cam), faster=np.median(faster), faster_low=faster.min(), faster_high=faster.max(),
                largest_difference=(found['ours'].cpu() - found['grad-cam']).abs().max().item())

def main():
    a = command(__doc__, 'two images, one round', images=(8, 'how many'), side=(sides, 'of an image, in pixels'), threads=(0, 'for ours; scipy uses one whatever is said. 0 leaves torch its choice'))
    if a.threads: torch.set_num_threads(a.threads)
    if a.quick: a.images, a.rounds = 2, 1
    device, x = torch.device('cuda' if torch.cuda.is_available() else 'cpu'), photographs(a.images, a.side)
    table = Table(a.out, '{kind:8} {removed:4.0%}  ours {ours_seconds:.4f} s  grad-cam {grad_cam_seconds:.3f} s per image  {faster:6.1f} x faster ({faster_low:.1f} to {faster_high:.1f})  apart {largest_difference:.0e}  load {load}', 6)
    for kind in ('random', 'compact'):
        for level in levels:
            where = dict(kind=kind, removed=level, images=a.images, side=a.side) | circumstances(device, a.rounds)
            table.add([where | measure(x, top(scores(kind, a.images, a.side), level), device, a.rounds)])

if __name__ == '__main__': main()
