"""A program as a user writes it. Nobody runs it: `make types` reads it, and finds what does not agree with the hints of the public functions."""
from pathlib import Path
import pandas as pd, torch
from torch import nn
import xainb as xai
from xainb.all import (DecoyScenes, build_model, count_passes, customize_profile, estimate, explain, gradcam, insertion, list_explainers, pixel_map, plan,
                       profile_table, rise, sweep)

net: nn.Module = build_model('demo/resnet')
scenes = DecoyScenes('test', n=4)
x: torch.Tensor = scenes.x
target = xai.logits(net, x).argmax(1)

attribution: torch.Tensor = gradcam(net, x, target)
masks: torch.Tensor = rise(net, x, target, n_masks=50, p=.5)
flat = pixel_map(attribution, 'abs_sum')
scores: pd.DataFrame = insertion(net, x, target, flat, n_steps=10)
shown = explain(net, Path('cat.jpg'), 'gradcam')
names: list = list_explainers('grad*')
profiles: pd.DataFrame = profile_table('demo*')
with count_passes(net) as passes: rise(net, x, target)
forward: int = passes.forward

p = customize_profile('smoke', explainers=['gradient'], images=2)
runs: list = plan(p).runs
hours: float = estimate(p).seconds/3600
status: list = sweep(p, 'sweeps/smoke', jobs=2)
