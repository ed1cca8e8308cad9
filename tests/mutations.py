"""Do the tests of the metrics bite? Each mutation changes one thing in a copy of the package; `check_metric` or a cell of the notebook has to fail.

    python tests/mutations.py               # all of them, a line for each; exit code 1 if one survives
    python tests/mutations.py sign box      # those whose names hold one of the words
"""
import contextlib, io, json, queue, re, shutil, sys, tempfile, time, traceback, warnings
from collections import namedtuple
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
from children import _context

repo = Path(__file__).parent.parent
Mutation = namedtuple('Mutation', 'name module old new metrics', defaults=[''])
notebooks = dict( # Module -> notebook, and the heading that ends what is known in closed form
    perturbation=('metrics/perturbation.ipynb', '## On scenes'), localization=('metrics/localization.ipynb', '## On scenes'), fidelity=('metrics/fidelity.ipynb', '## Both rankings'),
    imputation=('metrics/imputation.ipynb', '## What it looks like'), conventions=('metrics/conventions.ipynb', '### Against the libraries'), sanity=('metrics/sanity.ipynb', '## On scenes'),
    complexity=('metrics/complexity.ipynb', '### Against Quantus'), grid=('metrics/grid.ipynb', '### Against Quantus'), tiles=('metrics/tiles.ipynb', '## On a trained network'),
    **{'checks/degraded': ('checks/degraded.ipynb', '## On scenes')})

mutations = [Mutation(*m) for m in (
    ('sign of the order', 'perturbation', 'return maps.flatten(1).argsort(dim=1, descending=True, stable=True)', 'return maps.flatten(1).argsort(dim=1, descending=False, stable=True)', 'deletion insertion'),
    ('axes of the order swapped', 'perturbation', 'return maps.flatten(1).argsort(dim=1, descending=True', 'return maps.mT.flatten(1).argsort(dim=1, descending=True', 'deletion'),
    ('fraction off by one', 'perturbation', '(2*s*n_units + n_steps)//(2*n_steps) for s in', 'min(n_units, (2*s*n_units + n_steps)//(2*n_steps) + (0 < s)) for s in', 'deletion'),
    ('steps off by one', 'perturbation', 'for s in range(n_steps+1)]', 'for s in range(n_steps)]', 'deletion'),
    ('counts rounded down', 'perturbation', '(2*s*n_units + n_steps)//(2*n_steps)', 's*n_units//n_steps'),
    ('ties the other way', 'perturbation', 'return maps.flatten(1).argsort(dim=1, descending=True, stable=True)', 'return maps[0].numel() - 1 - maps.flatten(1).flip(1).argsort(dim=1, descending=True, stable=True)'),
    ('end point of the area dropped', 'perturbation', 'torch.trapezoid(values, at.to(values), dim=-1)', 'torch.trapezoid(values[:, :-1], at.to(values)[:-1], dim=-1)', 'deletion'),
    ('first point of the area dropped', 'perturbation', 'torch.trapezoid(values, at.to(values), dim=-1)', 'torch.trapezoid(values[:, 1:], at.to(values)[1:], dim=-1)', 'insertion'),
    ('area without widths', 'perturbation', 'torch.trapezoid(values, at.to(values), dim=-1)', 'values.mean(-1)', 'deletion'),
    ('insertion removes', 'perturbation', 'fill=start, insert=True', 'fill=start, insert=False', 'insertion'),
    ('another class is followed', 'perturbation', "out.softmax(1).gather(1, target[:, None])[:, 0]", "out.softmax(1).amax(1)", 'deletion'),
    ('least relevant taken from the front', 'perturbation', '(everything - counts)[:, back]], 1)', 'nothing[:, back]], 1)', 'road'),
    ("sign of ROAD's difference", 'perturbation', "(curves[reading, 'lerf'] - curves[reading, 'morf'])/2", "(curves[reading, 'morf'] - curves[reading, 'lerf'])/2", 'road'),
    ('wrong channel reduction', 'core', 'abs_sum=lambda a: a.abs().sum(1)', 'abs_sum=lambda a: a.abs()[:, 0]', 'deletion'),
    ('box transposed', 'localization', '_gap(boxes[..., 0], boxes[..., 2], width), _gap(boxes[..., 1], boxes[..., 3], height)', '_gap(boxes[..., 1], boxes[..., 3], width), _gap(boxes[..., 0], boxes[..., 2], height)', 'pointing_game'),
    ('end of a box inclusive', 'localization', 'torch.ceil(high-.5)[..., None]-1', 'torch.ceil(high-.5)[..., None]', 'pointing_game'),
    ('start of a box one late', 'localization', 'torch.ceil(low-.5)[..., None]', '(torch.ceil(low-.5)+1)[..., None]', 'pointing_game'),
    ('axes of a drawn box swapped', 'localization', '_ends(maps.amax(1), cut), _ends(maps.amax(2), cut)', '_ends(maps.amax(2), cut), _ends(maps.amax(1), cut)', 'wsol'),
    ('a union too large', 'localization', '(both/(area(a)+area(b)-both))', '(both/(area(a)+area(b)))', 'wsol max_box_acc'),
    ('ties always hit', 'localization', '(top & hit).sum((1, 2))/top.sum((1, 2))', '(top & hit).any(2).any(1).double()', 'pointing_game'),
    ('the last place counted k times', 'localization', 'rest = k[:, 0] - above.sum(1)', 'rest = k[:, 0]', 'relevance_rank_accuracy'),
    ('energy outside', 'localization', '(a*inside).sum((1, 2))/whole, area)', '(a*(1-inside)).sum((1, 2))/whole, area)', 'mask_energy'),
    ('sign of fidelity', 'fidelity', 'fidelity=lerf - morf', 'fidelity=morf - lerf', 'fidelity'),
    ('artifact from the wrong order', 'fidelity', 'artifact=morf[:, :1] - lerf', 'artifact=morf[:, :1] - morf'),
    ('diagonal neighbors as direct ones', 'imputation', '(.25, .5, .25)', '(1/3, 1/3, 1/3)'),
    ('adaptive steps: gaps split too late', 'perturbation', 'ascending.cumsum(1) > tolerance', 'ascending > tolerance'),
    ('adaptive steps: the width of a step is forgotten', 'perturbation', 'error = (width - torch.minimum(step[first], step[last - 1]))*width*steepest/2', 'error = width**2*steepest/2'),
    ('adaptive steps: no slopes of neighbors', 'perturbation', 'steepest = torch.maximum(slope, torch.maximum(before, after)/2)', 'steepest = slope'),
    ('adaptive steps: halves of the bound', 'perturbation', '*width*steepest/2', '*width*steepest/4'),
    ('adaptive steps: an image takes over the rows of the last one', 'perturbation', ' | (all_images[previous] != image)', ''),
    ('few removed pixels: no diagonal neighbors', 'imputation', '1/16 if dy and dx else 1/8', '0/16 if dy and dx else 1/8'),
    ('few removed pixels: the border has neighbors outside', 'imputation', 'weight*inside, links), n', 'weight*torch.ones_like(inside), links), n'),
    ('few removed pixels: the bound forgets the number of steps', 'imputation', 'steps = u[..., -1].amax(1)[:, None]/c', 'steps = torch.ones_like(c)'),
    ('few removed pixels: unfinished images are kept', 'imputation', 'left = (bound > tol).any(1)', 'left = (bound < 0).any(1)'),
    ('gap turned round', 'conventions', "c.area(r, 'lerf') - c.area(r)", "c.area(r) - c.area(r, 'lerf')"),
    ('maximum of the curve forgotten', 'conventions', 'c.area(r)/c[r].amax(1)', 'c.area(r)', 'sam'),
    ('sign of SaCo', 'perturbation', '(weight*agrees).sum(1)/total', '(-weight*agrees).sum(1)/total', 'saco'),
    ('subsets of SaCo one pixel late', 'perturbation', 'return torch.tensor(step_counts(n_pixels, n_subsets))', 'return torch.tensor([min(n_pixels, k + (k > 0)) for k in step_counts(n_pixels, n_subsets)])', 'saco'),
    ('subsets of SaCo one pixel early', 'perturbation', 'return torch.tensor(step_counts(n_pixels, n_subsets))', 'return torch.tensor([k - (0 < k < n_pixels) for k in step_counts(n_pixels, n_subsets)])', 'saco'),
    ('subsets of SaCo pile up', 'perturbation', 'F.pad(ends[:, :-1], (1, 0))', 'F.pad(0*ends[:, :-1], (1, 0))', 'saco'),
    ('salience of SaCo unsorted', 'perturbation', 'maps.flatten(1).double().sort(1, descending=True).values', 'maps.flatten(1).double()', 'saco'),
    ('bottom-up from the top', 'sanity', "numbered[::-1] if order == 'bottom_up' else numbered", 'numbered', 'parameter_randomization'),
    ('cascading from the bottom', 'sanity', "numbered[::-1] if order == 'bottom_up' else numbered", "numbered if order == 'bottom_up' else numbered[::-1]", 'parameter_randomization'),
    ('random layers off by one', 'sanity', 'visited[done:k]', 'visited[done:k-1]', 'parameter_randomization'),
    ('smoothing without noise', 'sanity', '(x + size*e).clamp(0, 1)', 'x'),
    ('smooth maps compared with the plain one', 'sanity', 'if replace and at == 0: maps = new', 'pass'),
    ('rise of the complexity turned round', 'sanity', '(random-learned)/learned', '(learned-random)/learned', 'efficient_mprt'),
    ('rise relative to the random network', 'sanity', '(random-learned)/learned', '(random-learned)/random', 'efficient_mprt'),
    ('a bin too few', 'sanity', 'clamp(max=n_bins-1)', 'clamp(max=n_bins-2)'),
    ('noise stays where it was', 'checks/degraded', 'flat.gather(2, chosen.roll(1, 2))', 'flat.gather(2, chosen)'),
    ('a pixel of noise too many', 'checks/degraded', ':round(fraction*n_pixels)]', ':round(fraction*n_pixels) + 1]'),
    ('direction of noise turned round', 'checks/degraded', "sign = 1 if metric.better == 'higher' else -1", "sign = -1 if metric.better == 'higher' else 1"),
    ('reward is called notice', 'checks/degraded', "'noticed' if row.change > 0 else 'rewarded'", "'noticed'"),
    ('what is taken away is added', 'sanity', 'copies-gone', 'copies+gone', 'infidelity'),
    ('sign of the drops', 'perturbation', 'value[:, :1] - value[:, 1:], 1e-6', 'value[:, 1:] - value[:, :1], 1e-6', 'single_deletion'),
    ('grid of patches transposed', 'perturbation', 'attribution.double().sum(1).flatten(1)', 'attribution.double().sum(1).mT.flatten(1)', 'single_deletion'),
    ('the next patch deleted', 'perturbation', 'torch.arange(patches**2, device=x.device)[:', 'torch.arange(patches**2, device=x.device).roll(-1)[:', 'single_deletion'),
    ('signs of patches forgotten', 'perturbation', 'attribution.double().sum(1).flatten(1)', 'attribution.double().abs().sum(1).flatten(1)', 'single_deletion'),
    ('removals from the wrong side', 'fidelity', 'of_explanation == (setting', 'of_explanation != (setting', 'f_fidelity'),
    ('removals without a limit', 'fidelity', '(beta/share.double()).clamp(max=alpha)', 'torch.full_like(share.double(), alpha)'),
    ('an explanation of one pixel more', 'fidelity', 'rank[image] < size[setting, None]', 'rank[image] <= size[setting, None]', 'f_fidelity'),
    ('grid transposed', 'grid', 'images.view(m, n, n, c, h, w).permute(0, 3, 1, 4, 2, 5)', 'images.view(m, n, n, c, h, w).permute(0, 3, 2, 4, 1, 5)', 'grid_pointing_game'),
    ('cell one off', 'grid', 'grid, cell = k//n**2, k % n**2', 'grid, cell = k//n**2, (k + 1) % n**2', 'grid_pointing_game'),
    ('cells shifted by a pixel', 'grid', 'cells_of(maps[:, None].double()', 'cells_of(maps[:, None].roll(1, 2).double()', 'grid_pointing_game'),
    ('sign of the positive attribution', 'grid', 'maps[:, None].double().clamp(min=0)', '(-maps[:, None].double()).clamp(min=0)', 'grid_pointing_game'),
    ('no positive value counts nothing', 'grid', 'torch.where(total == 0, 1/n**2', 'torch.where(total == 0, 0', 'grid_pointing_game'),
    ('magnitudes over channels', 'grid', "needs='explainer', reduce='sum'", "needs='explainer', reduce='abs_sum'", 'grid_pointing_game'),
    ('a class twice in a grid', 'grid', 'members = [left[k].pop() for k in chosen]', 'members = [left[chosen[0]].pop() for _ in chosen]'),
    ('effects of tiles with the other sign', 'tiles', '(of_target[0] - of_target[1:]).T', '(of_target[1:] - of_target[0]).T', 'tile_scores'),
    ('the next tile erased', 'tiles', 'erased(x, ground_truth, k) for k in', 'erased(x, ground_truth, (k + 1) % n_tiles) for k in', 'tile_scores'),
    ('map transposed on its tiles', 'tiles', 'scatter_add(1, tiles.flatten(1), maps.flatten(1).double())', 'scatter_add(1, tiles.flatten(1), maps.mT.flatten(1).double())'),
    ('share of the decoys', 'tiles', '(sums*holds).sum(1)/whole', '(sums*~holds).sum(1)/whole'),
    ('scenes that depend on a decoy count', 'tiles', ' & ~(effects.flips & ~holds).any(1)', ''),
    ('ranks of tiles without ties', 'tiles', ' + (((b == a) & others).sum(2) - 1)/2', ''),
    ('cell map transposed', 'grid', 'n*row[:, None] + column', 'row[:, None] + n*column'),
    ('ranks from zero', 'complexity', '2*torch.arange(1, d+1', '2*torch.arange(0, d', 'sparseness'),
)]

def _checked(metric):
    "What `check_metric` finds wrong"
    from xainb.checks.metrics import check_metric # The copy's
    if metric == 'sam': return _convention()
    import torch
    from xainb.checks.explainers import small_images
    grid = dict(x=small_images(4, (20, 28)), target=torch.arange(4), confidence=0.)
    some = dict(parameter_randomization=dict(stops=4), augmentation_test=dict(ground=torch.full((3, 1, 1), .5)), grid_pointing_game=grid, tile_scores=dict(only_decided=False))
    r = check_metric(metric, **some.get(metric, {}))
    return [f'{metric}: {c}: {r[c].found[:90]}' for c in r.failed]

def _convention():
    "Bansal et al.'s Deletion is RISE's over the maximum of the curve, which is .9, and 1 for the other class"
    from xainb.checks.metrics import oracles
    from xainb.metrics.conventions import conventions
    o, = oracles['deletion'].make()
    found, right = conventions['sam']['deletion'].score(o.model.eval(), o.x, o.target, o.attribution), [.225/.9, .675/.9, .775, .45/.9]
    return [] if max(abs(float(f) - r) for f, r in zip(found, right)) < 1e-4 else [f'sam: {found.tolist()} instead of {right}']

def _cells(notebook, until):
    for c in json.loads((repo/'nbs'/notebook).read_text())['cells']:
        source = ''.join(c['source'])
        if c['cell_type'] == 'markdown' and source.startswith(until): return
        if c['cell_type'] == 'code' and not re.search(r'^#\|\s*(export|default_exp)|nbdev_export|^from nbdev', source, re.M): yield c['id'], source

def _module_name(module):
    "Of a metric's module by its last name, and of others by their path"
    return f'xainb.metrics.{module}' if module in notebooks and '/' not in module else f"xainb.{module.replace('/', '.')}"

def _first_wrong_cell(module):
    "The first cell of the notebook that fails with the copy's module, or None"
    import importlib
    from fastcore import test
    space = dict(vars(test), __name__='__main__') | vars(importlib.import_module('xainb.core')) | vars(importlib.import_module(_module_name(module)))
    notebook, until = notebooks[module]
    for name, source in _cells(notebook, until):
        try: exec(compile(source, name, 'exec'), space)
        except Exception as e: return f"{notebook.rpartition('/')[2]}, cell {name}: {type(e).__name__} in {_line(e, name, source)[:90]}"

def _line(e, name, source):
    at = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == name]
    return source.splitlines()[at[0] - 1].strip() if at else str(e)[:60]

def _try(package, mutation, said):
    "In a child process: the copy in `package` instead of the repository's"
    warnings.simplefilter('ignore')
    for n in [n for n in sys.modules if n.partition('.')[0] == 'xainb']: del sys.modules[n]
    for n in ('quantus', 'torchcam', 'pytorch_grad_cam'): sys.modules[n] = None # Slow, and the closed forms have to do
    sys.path.insert(0, package)
    import matplotlib, torch; matplotlib.use('agg')
    if hasattr(torch.Tensor, '__array_eq__'): del torch.Tensor.__array_eq__ # By fastai, if it is there; then test_eq takes no list beside a tensor
    found = {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            import xainb.metrics.perturbation, xainb.metrics.fidelity, xainb.metrics.sanity, xainb.metrics.complexity, xainb.metrics.grid, xainb.metrics.tiles # noqa
            assert xainb.__file__.startswith(package)
            found['check_metric'] = next((f for m in mutation.metrics.split() for f in _checked(m)), None)
            if mutation.module in notebooks and not found['check_metric']: found['notebook'] = _first_wrong_cell(mutation.module)
        except Exception as e: found['import'] = f'{type(e).__name__}: {e}'
    said.put(found)

def attempt(mutation, timeout=120) -> dict: # Where -> what failed, or None
    "Applies one mutation to a copy of the package and tries it"
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder).resolve()/'xainb'
        shutil.copytree(repo/'xainb', package, ignore=shutil.ignore_patterns('weights', '__pycache__'))
        path = next(p for p in (package/f'metrics/{mutation.module}.py', package/f'{mutation.module}.py') if p.exists())
        text = path.read_text()
        if text.count(mutation.old) != 1: return dict(error=f'{mutation.old!r} is {text.count(mutation.old)} times in {path.name}')
        path.write_text(text.replace(mutation.old, mutation.new))
        said = _context.Queue()
        child = _context.Process(target=_try, args=(str(package.parent), mutation, said))
        child.start()
        try: return said.get(timeout=timeout)
        except queue.Empty: return dict(timeout=f'more than {timeout} s')
        finally:
            if child.is_alive() and not said.empty(): child.join(5)
            child.kill(); child.join()

def nothing(module, metrics=''): return Mutation('nothing', module, '# AUTOGENERATED', '# AUTOGENERATED', metrics)
def named(name): return next(m for m in mutations if m.name == name)

def killed(found): return bool(found.get('check_metric') or found.get('notebook'))

if __name__ == '__main__':
    words, start, survivors = sys.argv[1:], time.time(), []
    chosen = [m for m in mutations if not words or any(w in m.name for w in words)]
    unchanged = [nothing(n, ' '.join(dict.fromkeys(k for m in chosen if m.module == n for k in m.metrics.split()))) for n in dict.fromkeys(m.module for m in chosen)]
    for m in unchanged + chosen:
        found = attempt(m)
        ok = killed(found) != (m in unchanged) and not set(found) & {'error', 'import', 'timeout'}
        if not ok: survivors.append(m.name)
        print(f"{'ok ' if ok else 'BAD'} {m.name:40}{m.module:14}" + '; '.join(f'{k}: {v}' for k, v in found.items() if v), flush=True)
    print(f"{len(survivors)} survive or could not be tried: {', '.join(survivors)}" if survivors else 'every mutation is found', f'({time.time() - start:.0f} s)')
    sys.exit(bool(survivors))
