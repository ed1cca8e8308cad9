"""Certificates of one small network of each family of timm, of torchvision's networks, and of the demo zoo.

    python benchmarks/certificates.py [--out nbs/results/certificates.csv] [--only PATTERN] [--limit 120] [--budget 1500]

Each network has a process of its own with a time limit in seconds. Rows are written as they come, and a network that has
rows is left out, so an interrupted run continues where it stopped. Networks of timm and torchvision have random weights
(a fixed seed), except the trained ones that are found under XAINB_DATA. All run in single precision on one image. What is
called exact is checked once more by code that shares nothing with the measurement (column `checked`).
"""
import argparse, copy, csv, fnmatch, importlib, multiprocessing, os, pkgutil, time, warnings
from pathlib import Path
warnings.simplefilter('ignore')
import timm, torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import nn
from torchvision import models as tv
import xainb.explainers
for module in pkgutil.iter_modules(xainb.explainers.__path__): importlib.import_module(f'xainb.explainers.{module.name}')
from xainb.checks.certificates import certify_exactness
from xainb.core import explainer_registry, frozen, logits
from xainb.data.decoys import DecoyScenes
from xainb.models.operations import operations
from xainb.models.zoo import build_model, demo_nets

columns = ['family', 'model', 'weights', 'method', 'verdict', 'evidence', 'measured', 'seconds', 'checked']
methods = ['gradient', 'integrated_gradients', 'guided_backprop', 'deconvnet', 'deep_lift', 'lrp_epsilon', 'lrp', 'attn_lrp',
           'cam', 'gradcam', 'raw_attention', 'attention_rollout', 'gradient_rollout', 'attention_x_gradient', 'chefer_generic', 'chefer_lrp']
# timm's names with the side of the image; those of variable size without an argument img_size take any side
of_timm = dict.fromkeys('''resnet10t resnetv2_18 regnetx_002 regnety_002 densenet121 vgg11_bn mobilenetv2_050 mobilenetv3_small_050
    mobilenetv4_conv_small_035 efficientnet_lite0 ghostnet_050 ghostnetv3_050 hrnet_w18_small dla46_c nf_regnet_b0 repvgg_a0
    convnext_atto convnextv2_atto inception_next_atto xception41 legacy_xception dpn48b selecsls42 hardcorenas_a rexnet_100
    tresnet_m cspresnet50 ese_vovnet19b_slim res2net50_14w_8s legacy_seresnet18 skresnet18 resnest14d gernet_s mobileone_s0
    fasternet_t0 starnet_s1 repghostnet_050 edgenext_xx_small hgnetv2_b0 mixnet_s mambaout_femto convmixer_768_32'''.split(), 96)
of_timm |= dict(inception_v3=128, inception_v4=128, inception_resnet_v2=128, dm_nfnet_f0=96)
of_timm |= dict.fromkeys('''efficientformerv2_s0 efficientformer_l1 efficientvit_b0 efficientvit_m0 repvit_m0_9 fastvit_t8 visformer_tiny
    levit_128s mobilevit_xxs mobilevitv2_050 pvt_v2_b0 poolformer_s12 caformer_s18 focalnet_tiny_srf davit_tiny shvit_s1
    swiftformer_xs nextvit_small coat_lite_tiny xcit_nano_12_p16_224 tiny_vit_5m_224 twins_svt_small sequencer2d_s rdnet_tiny
    vit_tiny_patch16_224 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 beit_base_patch16_224 cait_xxs24_224
    swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 mixer_s32_224 gmlp_ti16_224 resmlp_12_224
    pit_ti_224 tnt_s_patch16_224 convit_tiny volo_d1_224 hiera_tiny_224 mvitv2_tiny maxvit_rmlp_pico_rw_256 nest_tiny gcvit_xxtiny
    crossvit_tiny_240 coatnet_nano_rw_224 naflexvit_base_patch16_gap test_vit vitamin_small_224'''.split(), 64)
of_timm |= dict(eva02_tiny_patch14_224=56, swinv2_tiny_window8_256=256, maxvit_rmlp_pico_rw_256=256)
# In these, and wherever the small side is refused, the image has timm's own size
of_torchvision = ['alexnet', 'vgg16', 'vgg16_bn', 'squeezenet1_1', 'googlenet', 'inception_v3', 'resnet18', 'resnet50',
                  'resnext50_32x4d', 'wide_resnet50_2', 'densenet121', 'mobilenet_v2', 'mobilenet_v3_large', 'mnasnet1_0',
                  'shufflenet_v2_x1_0', 'efficientnet_b0', 'regnet_y_400mf', 'convnext_tiny', 'swin_t']
trained = {'torchvision/mobilenet_v2': 'mobilenet_v2.safetensors?mean=0.5&std=0.5', # Files under XAINB_DATA/imagenet
           'timm/mobilenetv2_100?pad_type=same': 'mobilenetv2_100_same.safetensors',
           'torchvision/squeezenet1_1': 'squeezenet1_1.safetensors', 'timm/tf_efficientnet_lite0': 'tf_efficientnet_lite0.safetensors'}

def photograph(side):
    x = torch.tensor(load_sample_image('flower.jpg')).permute(2, 0, 1)[None].float()/255
    return F.interpolate(x[..., 100:400, 170:470], (side, side), mode='area').clamp(0, 1)

def with_statistics(net, side):
    "Batch-norm statistics of a batch of noise, and a head that is not zero; some builders start it at zero"
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms: m.momentum = None
    head = [m for m in net.modules() if isinstance(m, nn.Linear)][-1:]
    for m in head: nn.init.normal_(m.weight, std=.05)
    if norms:
        net.train()
        with torch.no_grad(): net(torch.rand(4, 3, side, side))
    return net.eval()

def timm_net(name, side):
    "A network for images of this side, or of its own size if it takes no other, and its side"
    for args, s in ((dict(img_size=side), side), ({}, side), ({}, None)):
        torch.manual_seed(0)
        try:
            net = timm.create_model(name, num_classes=10, **args).eval()
            s = s or net.default_cfg['input_size'][-1]
            with torch.no_grad(): net(photograph(s))
            return with_statistics(net, s), s
        except Exception: continue # Another size may do
    raise ValueError(f'{name} takes no image of {side} pixels')

def torchvision_net(name):
    torch.manual_seed(0)
    side = 128 if name == 'inception_v3' else 96
    extra = dict(init_weights=True, aux_logits=False) if name in ('googlenet', 'inception_v3') else {}
    return with_statistics(tv.get_model(name, num_classes=10, **extra), side), side

def family_of(spec):
    library, name = spec.split('/')[0], spec.split('/')[1].split('?')[0]
    if library == 'timm': return timm.models.model_entrypoint(name).__module__.split('.')[-1]
    return library if library == 'demo' else f'torchvision {name}'.rstrip('0123456789_')

def network(spec, weights): # The network and an image
    library, name = spec.split('/')
    if library == 'demo': return build_model(spec), DecoyScenes('test', n=1, seed=0).x
    if weights == 'random':
        net, side = timm_net(name, of_timm[name]) if library == 'timm' else torchvision_net(name)
        return net, photograph(side)
    spec, _, options = spec.partition('?')
    path, _, more = trained[f'{spec}?{options}' if options else spec].partition('?')
    path = Path(os.environ['XAINB_DATA'])/'imagenet'/path
    asked = '&'.join(filter(None, (options, more)))
    return build_model(f'{spec}:{path}' + (f'?{asked}' if asked else '')), photograph(160)

def tasks(): # Pairs of a model string and what its weights are
    found = [(f'demo/{n}', 'trained') for n in demo_nets if n.count('-') == 0]
    found += [(f'timm/{n}', 'random') for n in of_timm] + [(f'torchvision/{n}', 'random') for n in of_torchvision]
    return found + [(spec, 'trained') for spec in trained if 'XAINB_DATA' in os.environ]

# What is called exact, once more by code that shares nothing with the measurement

def largest(a, b): return ((a - b).abs().max()/b.abs().max().clamp(min=1e-300)).item()

def slopes(net, x, t, a):
    "A gradient next to differences of the score along five random directions of small support, in double precision"
    net, x, off, generator = copy.deepcopy(net).double(), x.double(), [], torch.Generator().manual_seed(1)
    a = explainer_registry['gradient'](net, x, t)
    def score(z): return logits(net, z)[0, t]
    for _ in range(5):
        v = torch.zeros_like(x).flatten()
        v[torch.randperm(v.numel(), generator=generator)[:50]] = 1.
        v = v.view_as(x)
        differences = [((score(x + h*v) - score(x - h*v))/(2*h) - (a*v).sum()).abs().item() for h in (1e-4, 1e-6)]
        off.append(min(differences)/(a.norm()*v.norm()).item())
    return max(off), 'differences along 5 directions'

def complete(net, x, t, a):
    net = copy.deepcopy(net).double()
    difference = (logits(net, x.double()) - logits(net, 0*x.double()))[0, t]
    return ((a.double().sum() - difference)/difference).abs().item(), "the score's difference in double precision"

def graph_of(out):
    seen, todo = [], [out.grad_fn]
    known = set()
    while todo:
        node = todo.pop()
        if node is None or node in known: continue
        known.add(node); seen.append(node)
        todo += [n for n, _ in node.next_functions]
    return seen

def by_graph(both):
    "Guided backprop or deconvnet, by hooks on the nodes of autograd's graph instead of functions"
    def check(net, x, t, a):
        with frozen(net), torch.enable_grad():
            z = x.clone().requires_grad_()
            out = net(z)
            for node in graph_of(out):
                if not type(node).__name__.startswith(('Relu', 'Hardtanh')): continue
                if both: node.register_hook(lambda into, outof: tuple(None if g is None else g.clamp(min=0) for g in into))
                else: node.register_hook(lambda into, outof: (outof[0].clamp(min=0),) + tuple(into[1:]))
            g, = torch.autograd.grad(out[0, t], z)
        return largest(a, g), "hooks on autograd's graph"
    return check

def times_input(net, x, t, a):
    "LRP-ε equals gradient × input if all activations are ReLUs (Ancona et al. 2018)"
    kinds = {k for k, _ in operations(net, x)} | ({'bounded'} if any(n in ('relu6', 'hardtanh') for _, n in operations(net, x)) else set())
    if not kinds <= {'linear', 'norm', 'relu', 'maximum', 'add', 'route'}: return None
    net, x = copy.deepcopy(net).double(), x.double()
    fine = explainer_registry['lrp_epsilon'](net, x, t, epsilon=1e-12)
    with frozen(net), torch.enable_grad():
        z = x.clone().requires_grad_()
        g, = torch.autograd.grad(net(z)[0, t], z)
    return largest(fine, g*x), 'gradient × input'

checks = dict(gradient=slopes, integrated_gradients=complete, deep_lift=complete, guided_backprop=by_graph(True),
              deconvnet=by_graph(False), lrp_epsilon=times_input)

def checked(method, net, x, t):
    "How far the second computation is off, in words; empty if there is none for this network"
    if method not in checks: return ''
    found = checks[method](net, x, t, explainer_registry[method](net, x, t))
    if found is None: return ''
    off, what = found
    return f"{'off' if off <= .01 else 'CONTRADICTED:'} {off:.1e} from {what}"

def rows_of(spec, weights, names):
    net, x = network(spec, weights)
    t = logits(net, x).argmax(1)
    for name in names:
        start = time.process_time()
        r = certify_exactness(net, x, t, names=[name]).table.iloc[0]
        seconds = time.process_time() - start
        second = checked(name, net, x, t) if r.verdict == 'exact' else ''
        yield [family_of(spec), spec, weights, name, r.verdict, r.evidence, f'{r.measured:.3g}', f'{seconds:.2f}', second]

def work(spec, weights, names, send):
    torch.set_num_threads(1)
    try:
        for row in rows_of(spec, weights, names): send.send(row)
    except Exception as e: send.send([family_of(spec), spec, weights, '', 'failed', f'{type(e).__name__}: {e}'[:300], '', '', ''])
    send.close()

def certified(spec, weights, names, limit):
    "Yields the rows of a network that a process of its own makes within the time limit"
    receive, send = multiprocessing.Pipe(False)
    process = multiprocessing.get_context('fork').Process(target=work, args=(spec, weights, names, send), daemon=True)
    process.start(); send.close()
    end = time.monotonic() + limit
    try:
        while receive.poll(max(0, end - time.monotonic())): yield receive.recv()
        yield [family_of(spec), spec, weights, '', 'no result', f'not finished after {limit} s', '', '', '']
    except EOFError: pass
    finally: process.kill(); process.join()

def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, default=Path('nbs/results/certificates.csv'))
    parser.add_argument('--only', default='*', help='pattern of model strings')
    parser.add_argument('--limit', type=int, default=120, help='seconds for a network')
    parser.add_argument('--budget', type=int, default=10**9, help='seconds after which no further network begins')
    args, start = parser.parse_args(), time.monotonic()
    names = [n for n in methods if n in explainer_registry]
    written = args.out.exists() and args.out.read_text().strip()
    done = {(r['model'], r['weights']) for r in csv.DictReader(args.out.open())} if written else set()
    with args.out.open('a', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        if not written: table.writerow(columns)
        for spec, weights in tasks():
            if (spec, weights) in done or not fnmatch.fnmatch(spec, args.only): continue
            if time.monotonic() - start > args.budget: break
            rows = list(certified(spec, weights, names, args.limit))
            table.writerows(rows); file.flush()
            print(f'{time.monotonic() - start:5.0f} s', spec, ', '.join(f'{r[3]} {r[4]}' for r in rows), flush=True)

if __name__ == '__main__': main()
