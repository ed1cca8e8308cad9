"""Which feature map is found in the smallest model of each timm module, and does it change where the image does?

    python benchmarks/feature_maps.py nbs/results/feature_maps.csv

Weights are random; those that timm begins with zeros, such as heads, are drawn as well, because nothing passes through zeros.
A model that is in the file already is skipped, and so is a module whose smallest model has more than 60 million parameters."""
import sys, warnings
from pathlib import Path
import pandas as pd, timm, torch
from xainb.core import *
from xainb.explainers.cam import find_feature_map, location_test, map_reader

columns = 'module model size layer layout channels height width other_tokens bypass contrast correlation offset follows note'.split()

def parameters(name):
    with torch.device('meta'): return sum(p.numel() for p in timm.create_model(name, num_classes=10).parameters())

def smallest(module):
    names = [n for n in timm.list_models(module=module) if not n.startswith('test_')]
    sizes = {}
    for n in names:
        try: sizes[n] = parameters(n)
        except Exception: pass # Some cannot be built without memory
    name = min(sizes, key=sizes.get, default=None)
    return name if name and sizes[name] < 60e6 else None

def build(name):
    with seeded(0):
        net = timm.create_model(name, num_classes=10).eval()
        for p in net.parameters():
            if p.ndim > 1 and not p.any(): torch.nn.init.normal_(p, std=.05)
        for m in net.modules():
            weight = getattr(m, 'weight', None)
            if isinstance(weight, torch.nn.Parameter) and weight.ndim == 1 and not weight.any(): torch.nn.init.ones_(weight)
    return net

def sizes(net):
    "The usual size of its images, at most 256 if the model takes it"
    size = net.pretrained_cfg['input_size'][-1]
    return dict.fromkeys([size if net.pretrained_cfg.get('fixed_input_size') else min(size, 256), 224, 240, size])

def measured(net, size):
    with seeded(1): x = torch.rand(1, 3, size, size)
    with frozen(net):
        m = find_feature_map(net, x, torch.tensor([1]), measure=True)
        test = location_test(map_reader(net, m), x)
    facts = dict(size=size, layer=m.name, layout=m.layout.kind, other_tokens=m.layout.others, bypass=m.bypass.item())
    facts |= dict(zip(('channels', 'height', 'width'), m.A.shape[1:]))
    return facts | dict(contrast=test.contrast, correlation=test.correlation, offset=test.offset, follows=test.follows)

def row(module, name):
    facts = dict(module=module, model=name)
    try: net = build(name)
    except Exception as e: return facts | dict(note=f'not built: {type(e).__name__}')
    for size in sizes(net):
        try: return facts | measured(net, size)
        except Exception as e: note = f'{type(e).__name__}: {e}'.splitlines()[0][:150]
    return facts | dict(note=note)

def main(path):
    warnings.simplefilter('ignore')
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)
    todo = [(n, None) for n in timm.list_models('test_*')] + [(None, m) for m in timm.list_modules()]
    for name, module in todo:
        if (name or '') in set(done.model) or module in set(done.module): continue
        names = timm.list_models(module=module) if module else [name]
        if not names: continue
        chosen = name or smallest(module)
        if not chosen: continue
        found = row(module or 'test', chosen)
        done = pd.concat([done, pd.DataFrame([found])])[columns]
        done.to_csv(path, index=False, float_format='%.4g')

if __name__ == '__main__': main(Path(sys.argv[1]))
