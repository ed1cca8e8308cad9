"The public names: a written list, beside which the names of other libraries keep their meaning, and the names of version 0.1."
import builtins, importlib, subprocess, sys, warnings
from pathlib import Path
import pytest
import xainb

names_0_1 = [line.split() for line in Path(__file__).with_name('names_0_1.txt').read_text().splitlines()]

def in_new_process(code): return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()

def test_list_is_short_and_each_name_is_defined_where_it_says():
    assert len(xainb.__all__) <= 150 and len(set(xainb.__all__)) == len(xainb.__all__)
    for name in xainb.__all__:
        home = importlib.import_module(xainb._module_of[name])
        assert name in home.__all__ and getattr(xainb, name) is getattr(home, name), name

def test_star_import_gives_the_list_and_nothing_else():
    found = in_new_process("before = set(globals())\nfrom xainb.all import *\nprint(*sorted(set(globals()) - before - {'before'}))").split()
    assert found == sorted(xainb.__all__)

@pytest.mark.parametrize('other', ['fastai.vision.all', 'fastai.text.all', 'fastai.tabular.all', 'fastcore.all', 'torch', 'torch.nn', 'captum.attr',
                                   'torchvision.transforms.v2', 'builtins'])
def test_no_name_of_another_library_is_replaced(other):
    theirs = vars(builtins) if other == 'builtins' else vars(importlib.import_module(other))
    replaced = [n for n in xainb.__all__ if n in theirs and theirs[n] is not getattr(xainb, n)]
    assert replaced == []

def test_fastai_still_works_after_a_star_import():
    code = ("from fastai.vision.all import *\nfrom xainb.all import *\n"
            "print(type(Normalize.from_stats(*imagenet_stats, cuda=False)).__module__, resnet18.__module__, ResNet.__module__)")
    assert in_new_process(code).split() == ['fastai.data.transforms', 'torchvision.models.resnet', 'torchvision.models.resnet']

def test_import_is_lazy():
    loaded = "import sys, xainb\nprint([m for m in ('torch', 'numpy', 'pandas', 'fastai', 'matplotlib', 'fastcore') if m in sys.modules])"
    assert in_new_process(loaded) == '[]'
    assert in_new_process("import xainb as xai\nprint(xai.gradcam.__module__, xai.stats.__name__, 'explain' in dir(xai))") == 'xainb.explainers.cam xainb.stats True'

@pytest.mark.parametrize('call', ["list_explainers()", "list_metrics()", "list_datasets()", "list_models()", "list_profiles()", "list_profiles(job='trend')", "list_conventions()"])
def test_lazy_lists_are_complete(call):
    alone, together = (in_new_process(f'{head}\nprint(sorted({call}))') for head in ('import xainb as xai\nfrom xainb import ' + call.partition('(')[0], 'from xainb.all import *'))
    assert alone == together and len(alone) > 20

def test_unknown_attribute():
    with pytest.raises(AttributeError, match="module 'xainb' has no attribute 'gradcan': did you mean 'gradcam'?"): xainb.gradcan

def test_names_of_0_1_are_found():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        lost = [(m, n) for m, n in names_0_1 if not hasattr(importlib.import_module(f'xainb.{m}'), n)]
    assert lost == []

def test_names_of_0_1_warn():
    with pytest.warns(DeprecationWarning, match='xainb.core.nearest is called xainb.core.unknown_name'): from xainb.core import nearest # noqa
    with pytest.warns(DeprecationWarning, match='xainb.models.load_model is called xainb.models.zoo.build_model'): from xainb.models import load_model # noqa
    with pytest.warns(DeprecationWarning, match="xainb.load_model is called xainb.build_model"): assert xainb.load_model is xainb.build_model
    for name in ('xainb.roar', 'xainb.jobs.plan'): sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match='xainb.roar is called xainb.studies.roar'): old = importlib.import_module('xainb.roar')
    with pytest.warns(DeprecationWarning, match='Study is called'): assert old.Study is xainb.RoarStudy

def test_parameters_and_registered_names_of_0_1_warn():
    import torch
    from xainb.core import explainer_registry
    net, x = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)), torch.rand(2, 3, 2, 2)
    with pytest.warns(DeprecationWarning, match="parameter 'steps' is called 'n_steps'"): old = xainb.integrated_gradients(net, x, 0, steps=4)
    assert torch.equal(old, xainb.integrated_gradients(net, x, 0, n_steps=4))
    with pytest.warns(DeprecationWarning, match="explainer 'shap' is called 'expected_gradients'"): assert explainer_registry['shap'] is xainb.expected_gradients

def test_changelog_has_every_old_name():
    from xainb._deprecated import modules, names
    text = (Path(__file__).parents[1]/'CHANGELOG.md').read_text()
    assert [n for n in names if f'| `{n}` | `{names[n]}` |' not in text] == []
    assert [m for m in modules if modules[m] and f'| `xainb.{m}` |' not in text] == []
