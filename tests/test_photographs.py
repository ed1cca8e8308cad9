"Real photographs and real networks, where a folder of them is at hand (XAINB_DATA names it); the package ships none."
import os
from pathlib import Path
import pytest, torch
from children import call
from xainb.checks.explainers import check_explainer
from xainb.core import logits
from xainb.data.images import photos
from xainb.models.zoo import build_model
from xainb.reports.evaluate import EvaluationReport

folder = Path(os.environ.get('XAINB_DATA', 'nowhere'))/'imagenet'
pytestmark = pytest.mark.skipif(not folder.is_dir(), reason='XAINB_DATA names no folder with imagenet/ photographs and networks')

networks = {f'torchvision/mobilenet_v2:{folder}/mobilenet_v2.safetensors?mean=0.5&std=0.5': .769,
            f'timm/mobilenetv2_100:{folder}/mobilenetv2_100_same.safetensors?mean=0.5&std=0.5&pad_type=same': .792,
            f'torchvision/squeezenet1_1:{folder}/squeezenet1_1.safetensors': .693}

@pytest.fixture(scope='module')
def some(): return photos(n=100, folder=str(folder))

@pytest.mark.parametrize('spec', networks, ids=['mobilenet_v2', 'mobilenetv2_100', 'squeezenet1_1'])
def test_accuracy_is_the_published_one(spec, some):
    "Over all photographs in the rows of the page On real photographs, and those rows again for a hundred of them"
    kept = EvaluationReport(Path(__file__).parent.parent/'nbs'/'results'/'real_photographs').rows
    kept = kept[(kept.metric == 'correct') & (kept.split == 'test') & (kept.model == spec.split(':')[0])].set_index('image').value
    assert len(kept) == 1000 and abs(kept.mean() - networks[spec]) <= .002
    right = logits(build_model(spec).to(memory_format=torch.channels_last), some.x).argmax(1) == some.y
    assert (right.numpy() == kept.loc[some.ids].to_numpy().astype(bool)).mean() >= .99

def test_boxes_move_with_the_crop(some):
    "The file's box, one pixel up and left, inside the crop: written down from the CSV by hand"
    import pandas as pd
    table = pd.read_csv(folder/'annotations.csv').set_index('file').loc[some.ids[0]]
    first = (table.iloc[0] if table.ndim == 2 else table)[['x0', 'y0', 'x1', 'y1']].to_numpy(float)
    assert torch.allclose(some.ground_truth.boxes[0, 0].double(), torch.tensor(first - 1).clamp(0, 224), atol=1e-3)

def test_the_command_runs_on_photographs(tmp_path):
    lines = (folder/'annotations.csv').read_text().splitlines(keepends=True)
    (tmp_path/'few.csv').write_text(''.join(lines[:25]))
    run = call('xainb-sweep', '--profile', 'photos', '--data', folder, '--labels', tmp_path/'few.csv', '--models', list(networks)[2], '--explainers', 'gradcam,cam,center_blob',
               '--metrics', 'pointing_game,wsol', '--images', '6', '--out', tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    report = EvaluationReport(tmp_path)
    assert report.scores.image.nunique() == 6 and report.table('pointing_game').notna().all(axis=None)

@pytest.mark.parametrize('name', ['gradient', 'gradcam', 'cam', 'guided_backprop', 'sobel'])
def test_explainers_keep_their_word_on_photographs(name):
    import xainb.explainers.gradient, xainb.explainers.cam, xainb.explainers.rules, xainb.explainers.controls
    found = check_explainer(name, build_model(list(networks)[2]), photos(n=2, folder=str(folder)).x).verify()
    assert found['batch and order'].verdict == 'passed' and found['cost'].verdict == 'passed'
