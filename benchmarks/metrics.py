"""What the perturbation curves cost beside the bare passes they need, and beside other libraries that draw the same curves.

    python benchmarks/metrics.py [--quick] [--nets resnet50,resnet18,mobilenet_v2] [--rounds 3] [--out benchmarks/metrics.csv]

Everything that is compared runs in turn, in one process, on the same images, maps and steps. How to read the table: benchmarks/README.md.
"""
import warnings
from contextlib import nullcontext
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from torch import nn
from torchvision import models as tv
from explainers import Table, bare, circumstances, command, has, lively, passes_in, photographs, sides, timed
from xainb.core import frozen, logits
from xainb.metrics.fidelity import fidelity
from xainb.metrics.perturbation import deletion, perturbation_curves, road
from xainb.models.inference import tune_inference, in_settings
from xainb.data.decoys import DecoyScenes
from xainb.models.zoo import build_model
if not hasattr(np, 'trapz'): np.trapz = np.trapezoid # quantus 0.6 asks for it

def near_free() -> nn.Module: return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
def smooth_maps(n:int): return F.interpolate(torch.rand(n, 1, 14, 14, generator=torch.Generator().manual_seed(0)), (sides, sides), mode='bicubic') + 1e-3*torch.rand(n, 1, sides, sides, generator=torch.Generator().manual_seed(1))

class Given:
    "Stands in for a torch-cam extractor: hands out maps that exist already"
    def __init__(self, model, maps): self.model, self.maps = model, maps
    def __call__(self, *args, **kw): return [self.maps]
    def fuse_cams(self, cams): return cams[0]
    def _hooks_off(self): return nullcontext()

def torchcam_both(x, y, maps, n_steps):
    def run(net, rows):
        from torchcam.metrics import DeletionInsertionMetric
        m = DeletionInsertionMetric(Given(net, maps[:, 0]), lambda out: out.softmax(1), steps=n_steps, batch_size=rows)
        m.update(x, y.tolist())
        return m.summary()
    return run

def value_steps(n_steps:int) -> int: return 3*round(n_steps/2) # Quantus wants the values of a step to divide those of a channel

def quantus_flipping(x, y, maps, n_steps):
    values = maps.expand_as(x).cpu().numpy()
    def run(net, rows):
        import quantus
        flip = quantus.PixelFlipping(features_in_step=x[0].numel()//value_steps(n_steps), normalise=False, disable_warnings=True, perturb_baseline=0.)
        return flip(model=net, x_batch=x.cpu().numpy(), y_batch=y.cpu().numpy(), a_batch=values, device=str(x.device), batch_size=rows)
    return run

def gradcam_road(x, y, maps):
    def run(net, rows):
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
        return ROADCombined(percentiles=[20, 40, 60, 80])(x, maps[:, 0].cpu().numpy(), [ClassifierOutputSoftmaxTarget(int(t)) for t in y], net)
    return run

def cases(x, y, maps, n_steps:int) -> dict: # Name -> ours, peers: functions of (net, rows)
    "The curves that are compared, and who else draws them"
    peers = lambda **kw: {n: f for n, f in kw.items() if has(dict(grad_cam='pytorch_grad_cam').get(n, n))}
    return {'deletion': (lambda net, rows: deletion(net, x, y, maps, n_steps=n_steps, fill='black', batch_size=rows), {}),
            'deletion and insertion': (lambda net, rows: [deletion(net, x, y, maps, n_steps=n_steps, fill='black', batch_size=rows), perturbation_curves(net, x, y, maps[:, 0], 'black', True, n_steps, batch_size=rows)], peers(torchcam=torchcam_both(x, y, maps, n_steps))),
            'channel values': (lambda net, rows: perturbation_curves(net, x, y, maps.expand_as(x), 'black', n_steps=value_steps(n_steps), unit='value', batch_size=rows), peers(quantus=quantus_flipping(x, y, maps, n_steps))),
            'both orders': (lambda net, rows: fidelity(net, x, y, maps, n_steps=n_steps, batch_size=rows), {}),
            'road': (lambda net, rows: road(net, x[:2], y[:2], maps[:2], fractions=(.2, .4, .6, .8), batch_size=rows), peers(grad_cam=gradcam_road(x[:2], y[:2], maps[:2])))}

def areas(found) -> np.ndarray:
    "All areas in a result of ours"
    parts = found if isinstance(found, list) else [found]
    return np.concatenate([p.value[p['at'].isna()].to_numpy() if isinstance(p, pd.DataFrame) else p.area('probability').cpu().numpy() for p in parts])

def trained_difference(n_steps:int) -> float:
    "The largest difference that bfloat16 makes to the area of a trained network: the package's small ResNet on 16 of its scenes"
    scenes, net = DecoyScenes('test', n=16, seed=0), build_model('demo/resnet')
    maps = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return np.abs(np.subtract(*(areas(deletion(m, scenes.x, scenes.y, maps, n_steps=n_steps)) for m in (net, in_settings(net, True, 'bfloat16'))))).max()

def measure(name, ours, peers, nets, noise, rounds):
    "Rows of the table for one kind of curve"
    calls, passes, found = {}, {}, {}
    def add(label, net, rows, f):
        with frozen(net), torch.no_grad(), passes_in(net) as seen: found[label] = f(net, rows)
        passes[label] = seen['forward']
        calls[label] = lambda: (None, f(net, rows))[0]
    for label, (net, s) in nets.items():
        add(label, net, s.batch_size, ours)
        calls[f'bare {label}'] = lambda net=net, s=s, label=label: bare(net, noise, s.batch_size, passes[label], 0)
    first, s = nets['float32']
    for peer, f in peers.items(): add(peer, first, s.batch_size, f)
    with frozen(first), torch.no_grad(): seconds, _ = timed(calls, rounds, noise.device)
    ratio = lambda a, b: seconds[a]/seconds[b]
    for label, (net, s) in nets.items():
        over = ratio(label, f'bare {label}')
        common = dict(curves=name, precision=s.dtype, channels_last=s.channels_last, rows=s.batch_size, passes=passes[label], seconds=np.median(seconds[label]), per_second=passes[label]/np.median(seconds[label]),
                      bare_seconds=np.median(seconds[f'bare {label}']), times_bare=np.median(over), times_bare_low=over.min(), times_bare_high=over.max(),
                      area_difference=np.abs(areas(found[label]) - areas(found['float32'])).max())
        for peer in peers or [None]:
            faster = ratio(peer, label) if peer else np.full(1, np.nan)
            yield common | dict(peer=peer, peer_passes=passes.get(peer, np.nan), peer_seconds=np.median(seconds[peer]) if peer else np.nan, faster_than_peer=np.median(faster), faster_low=faster.min(), faster_high=faster.max())

def networks(name, x, max_batch_size):
    "Label -> network in its settings, and the settings"
    if name == 'near-free':
        net = near_free().to(x.device); return {'float32': (net, tune_inference(net, x, 'float32', False, max_batch_size))}
    torch.manual_seed(0)
    net = lively(tv.get_model(name), x).eval().to(x.device)
    plain, fast = (tune_inference(net, x, p, False, max_batch_size) for p in ('float32', 'fastest'))
    made = {'float32': (in_settings(net, plain.channels_last, plain.dtype), plain)}
    return made if (fast.dtype, fast.channels_last) == (plain.dtype, plain.channels_last) else made | {'fastest': (in_settings(net, fast.channels_last, fast.dtype), fast)}

def main():
    a = command(__doc__, 'one round of few steps', nets=('near-free,resnet50,resnet18,mobilenet_v2', 'torchvision networks, and near-free: an average and a linear layer'), only=('', 'curves, by name'),
                images=(4, 'how many'), n_steps=(28, 'of a curve'), max_batch_size=(32, 'images in one pass at most'))
    if a.quick: a.rounds, a.images, a.n_steps = 1, 2, 7
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    table = Table(a.out, '{net:13} {curves:24} {precision:9} {passes:6.0f} passes {seconds:7.2f} s {times_bare:6.2f} x bare   {peer:10} {faster_than_peer:6.2f}   area off {area_difference:.4f} (trained {trained_area_difference:.4f})   load {load}')
    x = photographs(2).repeat(-(-a.images//2), 1, 1, 1)[:a.images].to(device)
    maps, noise = smooth_maps(a.images).to(device), torch.rand(a.max_batch_size, 3, sides, sides, generator=torch.Generator().manual_seed(0)).to(device)
    trained = trained_difference(a.n_steps)
    for net in a.nets.split(','):
        nets = networks(net, x, a.max_batch_size)
        y = logits(nets['float32'][0], x).argmax(1)
        for name, (ours, peers) in cases(x, y, maps, a.n_steps).items():
            if a.only and name not in a.only.split(',') or net == 'near-free' and name == 'road': continue
            where = dict(net=net, side=sides, images=a.images, n_steps=a.n_steps) | circumstances(device, a.rounds)
            table.add([where | r | dict(trained_area_difference=trained) for r in measure(name, ours, peers, nets, noise, a.rounds)])

if __name__ == '__main__': main()
