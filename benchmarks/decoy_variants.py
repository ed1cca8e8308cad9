"""Train a small ResNet for each variant of decoy scenes, measure what it uses and what explainers show.

    python benchmarks/decoy_variants.py [--quick] [--only 'shortcut*'] [--seed 0] [--cache FOLDER] [--out FOLDER]

The rows are those of the page results/decoy_variants, which says what they are.

Networks whose weights are in the cache are not trained again, and networks that `out` has are not measured again.
"""
import argparse, warnings
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
warnings.simplefilter('ignore')
import numpy as np, pandas as pd, torch
from safetensors.torch import load_file, save_file
from fastai.callback.channelslast import ChannelsLast
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from xainb.core import logits, pixel_map
from xainb.data.decoys import DecoyScenes, decoy_numbers, digit_cells, n_tiles, patch_color, tile_ink
from xainb.explainers.cam import cam, gradcam
from xainb.explainers.controls import border_color_distance, center_blob, local_contrast, random_control, sobel
from xainb.explainers.ensembles import smoothgrad_squared
from xainb.explainers.gradient import gradient, input_x_gradient, integrated_gradients
from xainb.explainers.perturbation import kernel_shap, occlusion
from xainb.explainers.rules import deep_lift, guided_backprop, lrp_epsilon
from xainb.metrics.localization import without_floor
from xainb.metrics.tiles import tile_effects, tile_sums, tiles_with_object
from xainb.models.nets import DemoResNet
from xainb.models.training import BF16, LabelOnly, scene_loaders
from xainb.models.zoo import normalized, weights_folder

def shortcut(strength): return dict(patch='shortcut', strength=strength)
fine_tuning, from_random = dict(start=True, lr=2e-3), dict(start=False, lr=4e-3)
# Scenes of each network and its training; `digits first` knows digits before it meets the shortcut
variants = {
    'null': (dict(patch='null'), fine_tuning | dict(epochs=6)),
    'digits first': (shortcut(1.), fine_tuning | dict(epochs=6)),
    'larger': (dict(task='larger'), fine_tuning | dict(epochs=6)),
    'smaller digit': (dict(task='larger'), None), # The network of `larger`, and the class of the other digit
    'parity': (dict(task='parity'), fine_tuning | dict(epochs=16)),
    **{f'shortcut {s}': (shortcut(s), from_random | dict(epochs=10)) for s in (1., .5, .9, .7)}}
same_network, test_seed = {'smaller digit': 'larger'}, 5

def random_signed(model, x, target): return random_control(model, x, target, channels=True) - .5

explainers = dict(
    gradient=gradient, input_x_gradient=input_x_gradient, guided_backprop=guided_backprop, deep_lift=deep_lift,
    lrp_epsilon=lrp_epsilon, integrated_gradients=partial(integrated_gradients, n_steps=16),
    smoothgrad_squared=partial(smoothgrad_squared, n_samples=16, noise=.15), gradcam=gradcam, cam=cam,
    occlusion=partial(occlusion, window=6, stride=3, score='logit'),
    kernel_shap=partial(kernel_shap, n_samples=200, features=8, score='logit'))
controls = dict(random_control=random_control, random_signed=random_signed, sobel=sobel, local_contrast=local_contrast,
                border_color_distance=border_color_distance, center_blob=center_blob)

def new_net(task): return normalized(DemoResNet(2 if task == 'parity' else 10), .5, .25)

def load_known(net):
    "Load the demo zoo's network for scenes without a patch, except a last layer that does not fit"
    own, known = net.state_dict(), load_file(weights_folder/'resnet.safetensors')
    net.load_state_dict({k: v for k, v in known.items() if v.shape == own[k].shape}, strict=False)

def train(scenes, seed, n_train, epochs, lr, start):
    "Train a network on a variant, from the weights of the demo zoo if `start`"
    set_seed(seed)
    net = new_net(scenes.get('task'))
    if start: load_known(net.net)
    learn = Learner(scene_loaders(n_train, seed=seed, **scenes), net, loss_func=CrossEntropyLossFlat(),
                    metrics=accuracy, cbs=[LabelOnly(), BF16(), ChannelsLast()])
    with learn.no_bar(): learn.fit_one_cycle(epochs, lr)
    return learn.model.float().eval()

def network(name, seed, cache, quick=False):
    "A trained network, from the cache if it is there"
    name = same_network.get(name, name)
    scenes, training = variants[name]
    path, net = Path(cache)/f"{name.replace(' ', '_')}_seed{seed}.safetensors", new_net(scenes.get('task'))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if quick: training = training | dict(epochs=1)
        trained = train(scenes, seed, 640 if quick else 6400, **training)
        save_file({k: v.contiguous() for k, v in trained.net.state_dict().items()}, path)
    net.net.load_state_dict(load_file(path))
    return net.eval()

def test_scenes(name, n):
    "Test scenes of a variant; the color of a shortcut always shows the class"
    return DecoyScenes('test', n, test_seed, **variants[name][0] | dict(strength=1.))

def smaller_digit(n):
    "The smaller one of the two digits of each test scene [n]"
    u = decoy_numbers(n, test_seed)
    is_digit = digit_cells(u, 2)
    return torch.where(is_digit, tile_ink(u, 'test', is_digit)[1], 10).amin(1)

def explained_class(name, net, scenes):
    "The predicted class, except for `smaller digit` [N]"
    return smaller_digit(len(scenes)) if name == 'smaller digit' else logits(net, scenes.x).argmax(1)

def shown_class(scenes, n_classes=10):
    "The class whose color the patch has [n]"
    u = decoy_numbers(len(scenes), test_seed)
    every = torch.arange(n_classes)[:, None].expand(-1, len(scenes))
    palette = torch.stack([patch_color(u, 'shortcut', y, n_classes, 1.)[0] for y in every])
    on_patch = (scenes.ground_truth.tiles == n_tiles)[:, None]
    color = (scenes.x*on_patch).sum((2, 3))/on_patch.sum((2, 3))
    return torch.cdist(color, palette).argmin(1)

def effect_columns(net, scenes, target, n):
    "What erasing each of `n` tiles does, one column for each tile"
    effects = tile_effects(net, scenes.x, target, scenes.ground_truth, n)
    digit = tiles_with_object(scenes.ground_truth, n)
    values = dict(drop=effects.drop, flips=effects.flips.float(), digit=digit.float())
    return {f'{k}{i}': v[:, i].numpy() for k, v in values.items() for i in range(n)}

def of_scenes(name, net, n):
    "One row for each scene: label, prediction, effects of its tiles, and for a shortcut what another color does"
    scenes = test_scenes(name, n)
    predicted = logits(net, scenes.x).argmax(1)
    explained = explained_class(name, net, scenes)
    found = dict(image=np.arange(n), y=scenes.y.numpy(), predicted=predicted.numpy(), explained=explained.numpy())
    found |= effect_columns(net, scenes, explained, n_tiles + ('patch' in variants[name][0]))
    if variants[name][0].get('patch') == 'shortcut':
        own, other = DecoyScenes('test', n, test_seed, **variants[name][0]), scenes.remade(strength=0.)
        found |= dict(right_own=(logits(net, own.x).argmax(1) == own.y).numpy().astype(float),
                      shown_other=shown_class(other).numpy(), predicted_other=logits(net, other.x).argmax(1).numpy())
    return pd.DataFrame(found)

def tile_columns(a, scenes, n):
    "The share of the positive attribution on each tile, and the signed sums as fractions of all magnitude"
    magnitude, signed = (pixel_map(a, how, 3).double() for how in ('abs_sum', 'sum'))
    positive = tile_sums(without_floor(magnitude).clamp(min=0), scenes.ground_truth.tiles, n)
    share = positive/positive.sum(1, keepdim=True) # NaN where nothing is positive
    total = tile_sums(signed, scenes.ground_truth.tiles, n)/signed.abs().sum((1, 2))[:, None]
    return {f'{k}{i}': v[:, i].numpy().round(4) for k, v in dict(share=share, signed=total).items() for i in range(n)}

def of_explainers(name, net, n):
    "One row for each explainer and scene: how its attribution is distributed over the tiles"
    scenes, n_pieces = test_scenes(name, n), n_tiles + ('patch' in variants[name][0])
    target = explained_class(name, net, scenes)
    for e, f in (explainers | controls).items():
        columns = tile_columns(f(net, scenes.x, target), scenes, n_pieces)
        yield pd.DataFrame(dict(explainer=e, control=e in controls, image=np.arange(n)) | columns)

def add_rows(path, rows, network, seed):
    "Write the rows of a network below those of the others"
    rows = rows.assign(network=network, seed=seed)
    if path.exists():
        kept = pd.read_parquet(path).query('network != @network or seed != @seed')
        rows = pd.concat([kept, rows], ignore_index=True)
    small = rows.astype({c: 'float32' for c in rows.columns[rows.dtypes == 'float64']})
    path.parent.mkdir(parents=True, exist_ok=True)
    small.to_parquet(path, compression='zstd', index=False)

def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--quick', action='store_true', help='short trainings and few scenes, to see that it runs')
    p.add_argument('--only', default='*', help='networks, with wildcards')
    p.add_argument('--seed', type=int, default=0, help='of the training')
    p.add_argument('--cache', default=str(Path.home()/'.cache/xainb/decoy_variants'), help='a folder for the weights')
    p.add_argument('--out', default='nbs/results/decoy_variants', help='a folder for the rows')
    p.add_argument('--scenes', type=int, default=1000, help='scenes whose tiles are erased')
    p.add_argument('--explained', type=int, default=160, help='scenes that are explained')
    return p.parse_args()

def main():
    a = arguments()
    if a.quick: a.scenes, a.explained, a.cache, a.out = 40, 8, a.cache + '_quick', a.out + '_quick'
    files = [Path(a.out)/f'{k}.parquet' for k in ('scenes', 'attributions')]
    for name in variants:
        done = pd.read_parquet(files[1]).query('network == @name and seed == @a.seed') if files[1].exists() else ()
        if not fnmatch(name, a.only) or len(done): continue
        net = network(name, a.seed, a.cache, a.quick)
        scenes, maps = of_scenes(name, net, a.scenes), pd.concat(of_explainers(name, net, a.explained))
        for path, rows in zip(files, (scenes, maps)): add_rows(path, rows, name, a.seed)
        print(name, f'accuracy {(scenes.y == scenes.predicted).mean():.3f}', flush=True)

if __name__ == '__main__': main()
