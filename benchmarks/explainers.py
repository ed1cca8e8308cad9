"""What each explainer costs beside the bare passes it needs, and beside other libraries that do the same work.

    python benchmarks/explainers.py [--quick] [--nets resnet50,mobilenet_v2] [--rounds 3] [--only 'rise,lime'] [--out benchmarks/explainers.csv]

Everything that is compared runs in turn, in one process, on the same images, with the same number of images in a pass. How to read the table: benchmarks/README.md.
"""
import argparse, copy, fnmatch, importlib.util, math, os, sys, warnings
from collections import Counter
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from time import perf_counter
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch, torch.nn.functional as F
from torch import nn, Tensor
from torchvision import models as tv
from sklearn.datasets import load_sample_images
from captum.attr import Deconvolution, DeepLift, GradientShap, GuidedBackprop, InputXGradient, IntegratedGradients, KernelShap, Lime, NoiseTunnel, Occlusion, Saliency
from captum._utils.models.linear_model import SkLearnRidge
import xainb.explainers.cam, xainb.explainers.ensembles, xainb.explainers.gradient, xainb.explainers.learned_masks, xainb.explainers.lrp_composites, xainb.explainers.perturbation, xainb.explainers.rules
from xainb.core import as_model, device_of, explainer_registry, frozen, logits
from xainb.data.decoys import DecoyScenes
from xainb.models.zoo import build_model
from xainb.explainers.perturbation import cut_masks, draw_masks, grid_cells, mean_color
from xainb.models.inference import tune_inference, in_settings, machine, pass_seconds, map_agreement

sides, grid = 224, 7

# Networks and images

def photographs(n:int=2, side:int=sides) -> Tensor: # [n,3,side,side]
    "Crops of scikit-learn's photographs, China and a flower in turns, each pair further to the right"
    found = [torch.tensor(np.array(p)).permute(2, 0, 1)[None, :, :420]/255 for p in load_sample_images().images]
    crops = [found[i % 2][..., (left := i//2 % 4*60):left + 420] for i in range(n)]
    return torch.cat([F.interpolate(c, (side, side), mode='bilinear', antialias=True) for c in crops]).clamp(0, 1)

def lively(net:nn.Module, x:Tensor) -> nn.Module:
    "Random weights that tell images apart: batch norm knows their statistics, and scores vary by about two between versions of an image that are half hidden"
    hide = F.interpolate((torch.rand(16, 1, 7, 7, generator=torch.Generator().manual_seed(0)) < .5).float(), x.shape[-2:]).to(x)
    versions = (x[:1] - .45)*hide + .45
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms: m.reset_running_stats(); m.momentum = None
    with torch.no_grad():
        net.train(); net(torch.cat([versions, x])); net.eval()
        head = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
        out = net(versions)
        scale = 2/out.std(0).mean()
        head.weight *= scale; head.bias.copy_(-scale*(out - head.bias).mean(0))
    return net

# Networks on which the rules of captum and zennit reach every operation: each ReLU and each residual sum is a module of its own, nothing works in place,
# and pools take averages, because captum's rule for a maximum differs from ours

class Sum(nn.Module):
    "The sum of two branches, stacked, because zennit's hooks take one input"
    def forward(self, branches): return branches.sum(0)

class Block(tv.resnet.Bottleneck):
    "torchvision's bottleneck with three ReLUs instead of one that is used three times"
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.relu, self.relu2, self.relu3, self.sum = nn.ReLU(), nn.ReLU(), nn.ReLU(), Sum()
    def forward(self, x):
        z = self.relu(self.bn1(self.conv1(x)))
        z = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(z)))))
        skip = x if self.downsample is None else self.downsample(x)
        return self.relu3(self.sum(torch.stack([skip, z])))

def with_modules(net:nn.Module) -> nn.Module:
    "ReLUs that do not work in place, and average pools for maximum pools"
    for name, m in list(net.named_modules()):
        if isinstance(m, nn.ReLU): m.inplace = False
        if isinstance(m, nn.MaxPool2d): net.set_submodule(name, nn.AvgPool2d(m.kernel_size, m.stride, m.padding))
    return net

easy = {'vgg11_average': lambda: with_modules(tv.vgg11()), 'vgg16_average': lambda: with_modules(tv.vgg16()), 'resnet50_average': lambda: with_modules(tv.ResNet(Block, [3, 4, 6, 3]))}
def new_network(name): return easy[name]() if name in easy else tv.get_model(name)

# What is measured

@dataclass
class Case:
    "One explainer with few samples, and peers that do the same work: name -> function (net, x, target, rows)"
    name:str
    params:dict
    peers:dict
    images:int = 1
    equal:bool = False # Whether a peer's attribution is the same up to rounding

def probability(net): return lambda x: net(x).softmax(1)
def areas(x): return grid_cells(x[:1], grid)
def has(module): return importlib.util.find_spec(module) is not None

def tunnel(kind, n):
    def run(net, x, target, rows):
        torch.manual_seed(0)
        return NoiseTunnel(Saliency(net)).attribute(x, nt_type=kind, nt_samples=n, nt_samples_batch_size=rows, stdevs=.15, target=target, abs=False)
    return run

def captum_occlusion(window):
    def run(net, x, target, rows):
        fill = torch.tensor(mean_color).reshape(1, 3, 1, 1).to(x).expand_as(x)
        return Occlusion(probability(net)).attribute(x, (3, window, window), (3, window, window), fill, target, perturbations_per_eval=rows)
    return run

def captum_lime(n):
    def run(net, x, target, rows):
        torch.manual_seed(0)
        return Lime(probability(net), SkLearnRidge(alpha=1.)).attribute(x, .45, target, feature_mask=areas(x)[:, None], n_samples=n, perturbations_per_eval=rows)
    return run

def captum_kernel_shap(n):
    def run(net, x, target, rows):
        torch.manual_seed(0)
        return KernelShap(probability(net)).attribute(x, .45, target, feature_mask=areas(x)[:, None], n_samples=n, perturbations_per_eval=rows)
    return run

def published_rise(n):
    "The procedure of Petsiuk et al.: all masks at once, stacked on the image, through the network in batches; their making, which they do once for many images, is not counted"
    masks = cut_masks(*draw_masks(n, (sides, sides)), (sides, sides))[:, None]
    def run(net, x, target, rows):
        stack = masks*(x - .45) + .45
        p = torch.cat([net(part).softmax(1) for part in stack.split(rows)])
        return (p.T @ masks.flatten(1)).reshape(-1, sides, sides)[target]/n/.1
    return run

def torchcam_scorecam(layer):
    def run(net, x, target, rows):
        from torchcam.methods import ScoreCAM
        with ScoreCAM(net, layer, batch_size=rows) as method, torch.no_grad(): return method(target.tolist(), net(x))[0]
    return run

def grad_cam_scorecam(layer):
    def run(net, x, target, rows):
        from pytorch_grad_cam import ScoreCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        with ScoreCAM(net, [net.get_submodule(layer)]) as method, redirect_stderr(StringIO()):
            method.batch_size = rows
            return method(x, [ClassifierOutputTarget(t) for t in target.tolist()])
    return run

def captum_gradient(method, **kw): return lambda net, x, target, rows: method(net).attribute(x.clone().requires_grad_(), target=target, **kw)
def captum_path(n): return lambda net, x, target, rows: IntegratedGradients(net).attribute(x, 0*x, target=target, n_steps=n, internal_batch_size=rows)

def grad_cam(name, layer):
    def run(net, x, target, rows):
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        with getattr(pytorch_grad_cam, name)(net, [net.get_submodule(layer)]) as method: return method(x.clone().requires_grad_(), [ClassifierOutputTarget(t) for t in target.tolist()])
    return run

def captum_rule(method): return lambda net, x, target, rows: method(net).attribute(x.clone().requires_grad_(), target=target).detach()
def captum_deep_lift(net, x, target, rows): return DeepLift(net).attribute(x.clone().requires_grad_(), 0*x, target=target).detach()

def zennit_epsilon(net, x, target, rows, epsilon=1e-6):
    "The ε rule for all linear layers, batch norms, pools and sums, as `lrp_epsilon` has it"
    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon, Pass
    from zennit.types import Activation, AvgPool, BatchNorm, Linear
    leaf, rule = x.clone().requires_grad_(), Epsilon(epsilon)
    with LayerMapComposite([(Activation, Pass()), ((AvgPool, BatchNorm, Linear, Sum), rule)]).context(net) as hooked:
        out = hooked(leaf)
        return torch.autograd.grad(out, leaf, F.one_hot(target, out.shape[1])*out.detach())[0]

def zennit_composite(name):
    "A composite with a rule for our module `Sum`; zennit leaves the eps of a folded batch norm, so it is set to zero in a copy, made once for each network"
    made = {}
    def run(net, x, target, rows):
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.composites import COMPOSITES
        from zennit.rules import Norm
        if net not in made:
            made[net] = copy.deepcopy(net)
            SequentialMergeBatchNorm().apply(made[net])
            for m in made[net].modules():
                if isinstance(m, nn.BatchNorm2d): m.eps = 0.
        bounds = dict(low=0., high=1.) if 'box' in name else {}
        leaf = x.clone().requires_grad_()
        with COMPOSITES[name](layer_map=[((Sum,), Norm())], **bounds).context(made[net]) as hooked:
            out = hooked(leaf)
            return torch.autograd.grad(out, leaf, F.one_hot(target, out.shape[1])*out.detach())[0]
    return run

few_channels = dict(resnet18='maxpool', resnet50='maxpool', mobilenet_v2='features.7', efficientnet_b0='features.4') # Maps of 64 or 80 channels: a pass for each of ResNet-50's last 2048 would take an hour
last_layers = dict(resnet50='layer4', mobilenet_v2='features')

def cases(net:str, n:int) -> list: # Of `Case`
    "What is measured on a network, with about `n` passes for each image"
    def peers(**kw): return {k.replace('_', '-'): f for k, f in kw.items() if has(dict(grad_cam='pytorch_grad_cam', published='torch').get(k, k))}
    if net in easy: return [Case('guided_backprop', {}, peers(captum=captum_rule(GuidedBackprop)), 4, True), Case('deconvnet', {}, peers(captum=captum_rule(Deconvolution)), 4, True),
                            Case('deep_lift', {}, peers(captum=captum_deep_lift), 4, True), Case('lrp_epsilon', {}, peers(zennit=zennit_epsilon), 4, True),
                            *[Case('lrp', dict(composite=c), peers(zennit=zennit_composite(c)), 4, True) for c in ('epsilon_plus_flat', 'epsilon_alpha2_beta1_flat', 'epsilon_gamma_box')]]
    few, last, window = few_channels.get(net), last_layers.get(net), 32 if n > 32 else 56
    cheap = [Case('gradient', {}, peers(captum=captum_gradient(Saliency, abs=False)), 4), Case('input_x_gradient', {}, peers(captum=captum_gradient(InputXGradient)), 4),
             Case('cam', {}, {}, 4)]
    cheap += [Case(m, {}, peers(grad_cam=grad_cam(theirs, last)) if last else {}, 4) for m, theirs in
              dict(gradcam='GradCAM', hirescam='HiResCAM', layercam='LayerCAM', xgradcam='XGradCAM', gradcam_plus_plus='GradCAMPlusPlus').items()]
    cheap += [Case(m, {}, {}, 4) for m in ('squared', 'guided_backprop', 'deconvnet', 'guided_gradcam', 'deep_lift', 'lrp_epsilon')]
    several = [Case('integrated_gradients', dict(n_steps=n//2), peers(captum=captum_path(n//2))), Case('expected_gradients', dict(n_samples=n//2), {})]
    several += [Case(m, dict(n_samples=n//2), peers(captum=tunnel(kind, n//2))) for m, kind in dict(smoothgrad='smoothgrad', smoothgrad_squared='smoothgrad_sq', vargrad='vargrad').items()]
    several += [Case('occlusion', dict(window=window, stride=window), peers(captum=captum_occlusion(window))), Case('rise', dict(n_masks=n), peers(published=published_rise(n))),
                Case('lime', dict(n_samples=n, features=grid, fill=.45), peers(captum=captum_lime(n))), Case('kernel_shap', dict(n_samples=n, features=grid, fill=.45), peers(captum=captum_kernel_shap(n))),
                Case('meaningful_perturbation', dict(n_steps=n//8), {}), Case('extremal_perturbation', dict(n_steps=max(2, n//32)), {}), Case('groupcam', {}, {})]
    if few: several += [Case('scorecam', dict(layer=few, fill=0.), peers(torchcam=torchcam_scorecam(few), grad_cam=grad_cam_scorecam(few)))]
    return several + cheap

# Measuring

def trained_agreement(case) -> float:
    "Rank agreement of bfloat16 with float32 on a trained network: the package's small ResNet, on six of the scenes that it was trained for"
    scenes, net = DecoyScenes('test', n=6, seed=0), build_model('demo/resnet')
    params = {k: v for k, v in case.params.items() if k not in ('layer', 'window', 'stride')}
    return map_agreement(*(explainer_registry[case.name](m, scenes.x, scenes.y, **params) for m in (net, in_settings(net, True, 'bfloat16')))).mean().item()

def peer_differences(case, net, x, target) -> dict: # Peer -> number
    "Largest difference between a peer's attribution of one image and ours, relative to the largest value, in double precision"
    if not case.equal: return {}
    net, x, target = copy.deepcopy(net).double(), x[:1].double(), target[:1]
    ours = explainer_registry[case.name](net, x, target, **case.params)
    with frozen(net): theirs = {peer: f(net, x, target, 1) for peer, f in case.peers.items()}
    return {peer: ((a - ours).abs().max()/ours.abs().max()).item() for peer, a in theirs.items()}

def synchronized(f, device):
    "The seconds of a call, and its result"
    if device.type == 'cuda': torch.cuda.synchronize()
    start = perf_counter(); out = f()
    if device.type == 'cuda': torch.cuda.synchronize()
    return perf_counter() - start, out

def timed(calls:dict, rounds:int, device) -> tuple: # Name -> seconds of each round; name -> what the last call gave
    "All calls take turns; every second round begins with the second one"
    seconds, found, names = {n: np.zeros(rounds) for n in calls}, {}, list(calls)
    for r in range(rounds):
        for n in names[r % 2:] + names[:r % 2]: seconds[n][r], found[n] = synchronized(calls[n], device)
    return seconds, found

@contextmanager
def passes_in(net):
    "Sizes of the forward passes that happen inside, by whether their graph was kept for the way back, and the images that came back"
    seen = Counter(forward=0, back=0)
    def back(g): seen['back'] += len(g)
    def hook(m, args, out):
        seen['forward'] += len(out)
        if out.requires_grad: out.register_hook(back)
    handle = net.register_forward_hook(hook)
    try: yield seen
    finally: handle.remove()

def bare(net, x, rows, forward, back):
    "As many passes, on noise, and nothing else: `back` of the images there and back, the others forward only"
    for count, gradients in ((forward - back, False), (back, True)):
        for size in [min(rows, count - i) for i in range(0, count, rows)]: pass_seconds(net, x[:size].detach(), gradients)

def measure(case, nets, x, target, noise, rounds):
    "Rows of the table: ours in float32 and in the fastest precision, the bare passes of each, and the peers in float32"
    x, target, ours = x[:case.images], target[:case.images], explainer_registry[case.name]
    grads = case.name in with_gradients
    plain, fast = nets[grads, 'float32'], nets[grads, 'fastest']
    counts, calls, maps = {}, {}, {}
    def add(label, net, f):
        with frozen(net):
            with passes_in(net) as seen: maps[label] = f(net)
        counts[label] = dict(seen); calls[label] = lambda: _within(net, lambda: f(net))
    explain = lambda net: ours(net, x, target, batch_size=nets[grads, 'rows'][net], **case.params)
    add('ours', plain, explain)
    if fast is not plain: add('ours fastest', fast, explain)
    for peer, f in case.peers.items(): add(peer, plain, lambda net, f=f: f(net, x, target, nets[grads, 'rows'][net]))
    for label, net in [('ours', plain)] + [('ours fastest', fast)]*(fast is not plain):
        c = counts[label]; calls[f'bare {label}'] = lambda net=net, c=c: _within(net, lambda: bare(net, noise, nets[grads, 'rows'][net], c['forward'], c['back']))
    return rows_of(case, nets, grads, plain, fast, counts, maps, timed(calls, rounds, x.device)[0], x, peer_differences(case, plain, x, target))

def _within(net, call):
    with frozen(net): call() # Gives nothing, so that nothing is kept

def rows_of(case, nets, grads, plain, fast, counts, maps, seconds, x, differences):
    ratio = lambda a, b: seconds[a]/seconds[b]
    passes = lambda label: (counts[label]['forward'] + counts[label]['back'])/len(x)
    for label, net in [('ours', plain)] + [('ours fastest', fast)]*(fast is not plain):
        s, over = nets[grads, 'settings'][net], ratio(label, f'bare {label}')
        agreement = map_agreement(maps['ours'], maps[label]).mean().item() if label != 'ours' else np.nan
        common = dict(explainer=case.name, params=str(case.params), images=len(x), precision=s.dtype, channels_last=s.channels_last, rows=s.batch_size, passes=passes(label),
                      seconds=np.median(seconds[label]), bare_seconds=np.median(seconds[f'bare {label}']), times_bare=np.median(over), times_bare_low=over.min(), times_bare_high=over.max(),
                      map_agreement=agreement)
        for peer in case.peers or [None]:
            faster = ratio(peer, label) if peer else np.full(1, np.nan)
            yield common | dict(peer=peer, peer_passes=passes(peer) if peer else np.nan, peer_seconds=np.median(seconds[peer]) if peer else np.nan,
                                faster_than_peer=np.median(faster), faster_low=faster.min(), faster_high=faster.max(),
                                peer_difference=f'{differences.get(peer, np.nan):.0e}')

with_gradients = {'gradient', 'input_x_gradient', 'integrated_gradients', 'expected_gradients', 'smoothgrad', 'smoothgrad_squared', 'vargrad', 'squared', 'meaningful_perturbation', 'extremal_perturbation',
                  'gradcam', 'hirescam', 'layercam', 'xgradcam', 'gradcam_plus_plus', 'guided_backprop', 'deconvnet', 'guided_gradcam', 'deep_lift', 'lrp_epsilon', 'lrp'}

def prepared(name, x, max_batch_size, kinds):
    "The network in the settings that are best for passes forward (False), and there and back (True), in float32 and in the fastest precision"
    torch.manual_seed(0)
    net, nets = lively(new_network(name), x).eval().to(x.device), {}
    for grads in kinds:
        nets[grads, 'rows'], nets[grads, 'settings'], made = {}, {}, {}
        for precision in ('float32', 'fastest'):
            s = tune_inference(net, x, precision, grads, max_batch_size)
            key = s.channels_last, s.dtype
            if key not in made: made[key] = in_settings(net, *key)
            made[key].requires_grad_(False)
            nets[grads, precision] = made[key]
            nets[grads, 'rows'][made[key]], nets[grads, 'settings'][made[key]] = s.batch_size, s
    return nets

def circumstances(device, rounds) -> dict:
    "Columns that say where and how a row was measured"
    load = round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else np.nan
    return dict(machine=machine(device), threads=torch.get_num_threads(), torch=torch.__version__, rounds=rounds, load=load)

def benchmark(net, only, rounds, n, max_batch_size, done) -> None:
    "Measures all cases of one network; each is handed to `done` at once"
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    x, noise = photographs(2).repeat(2, 1, 1, 1).to(device), torch.rand(max_batch_size, 3, sides, sides, generator=torch.Generator().manual_seed(0)).to(device)
    chosen = [c for c in cases(net, n) if any(fnmatch.fnmatch(c.name, p) for p in only)]
    nets = prepared(net, x, max_batch_size, sorted({c.name in with_gradients for c in chosen}))
    target = logits(nets[chosen[0].name in with_gradients, 'float32'], x).argmax(1)
    for case in chosen:
        where = dict(net=net, side=sides) | circumstances(device, rounds)
        try: done([where | row | dict(trained_map_agreement=trained) for trained in [trained_agreement(case)] for row in measure(case, nets, x, target, noise, rounds)])
        except Exception as e: print(f'{net} {case.name}: {type(e).__name__}: {e}', file=sys.stderr)

# The command

def command(doc:str, quick:str, **own):
    "The arguments of a benchmark: its `own`, name -> (default, what it is), and those that all have"
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, (default, said) in own.items(): p.add_argument(f'--{name}', type=type(default), default=default, help=said)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--quick', action='store_true', help=f'{quick}, to see that it runs')
    p.add_argument('--out', default='', help='a CSV file')
    return p.parse_args()

class Table(list):
    "Rows, printed by `line` and written to `out` as soon as they are there"
    def __init__(self, out, line, digits=4): self.out, self.line, self.digits = out, line, digits
    def add(self, rows):
        self.extend(rows)
        for r in rows: print(self.line.format(**{k: '' if v is None else v for k, v in r.items()}), flush=True)
        if self.out: pd.DataFrame(list(self)).round(self.digits).to_csv(self.out, index=False)

def main():
    a = command(__doc__, 'one round of few passes', nets=('resnet50,mobilenet_v2,vgg11_average,resnet50_average', f'torchvision networks, or {", ".join(easy)}'), only=('*', 'explainers, with wildcards'),
                passes=(64, 'about so many for each image'), max_batch_size=(32, 'images in one pass at most'))
    rounds, n = (1, 16) if a.quick else (a.rounds, a.passes)
    table = Table(a.out, '{net:13} {explainer:24} {precision:9} {passes:6.0f} passes {seconds:7.2f} s {times_bare:6.2f} x bare   {peer:10} {faster_than_peer:6.2f} x as fast, differs by {peer_difference}   ranks {map_agreement:.3f} (trained {trained_map_agreement:.3f})   load {load}')
    for net in a.nets.split(','): benchmark(net, a.only.split(','), rounds, n, a.max_batch_size, table.add)

if __name__ == '__main__': main()
