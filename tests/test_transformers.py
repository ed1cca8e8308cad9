"The zoo `demo-vit`: records and files agree, accuracies are those of the records, and every job takes its networks."
import children, pytest, torch
from xainb.checks.certificates import certify_exactness
from xainb.core import NotApplicable, metric_registry
from xainb.data.decoys import DecoyScenes
from xainb.models.nets import vit_nets
from xainb.models.training import accuracy_of, vit_grid, demo_name
from xainb.models.zoo import build_model, demo_records, list_models, model_card, sha256, weights_folder
from xainb.store import Store
from xainb.sweeps.plan import customize_profile, plan
import xainb.explainers.attn_lrp, xainb.explainers.cam, xainb.metrics.grid, xainb.sweeps.roar, xainb.sweeps.trend # They register what is used

names = [demo_name(*network) for network in vit_grid]
records = demo_records(tuple(vit_nets))

def test_the_grid_of_the_paper_has_no_transformer():
    assert len(list_models('demo/*')) == 12
    assert list_models('demo-vit/*') == [f'demo-vit/{n}' for n in names]

@pytest.mark.parametrize('name', names)
def test_record_file_and_accuracy_agree(name):
    file, record, card = weights_folder/f'{name}.safetensors', records[name], model_card(f'demo-vit/{name}')
    assert sha256(file) == record['sha256'] == card.weights and file.stat().st_size <= 600_000
    assert demo_name(card.arch, card.training) == name and card.known == record['measured']
    scenes = DecoyScenes('test', 2000, seed=1)
    assert accuracy_of(build_model(card.name), scenes.x, scenes.y) == pytest.approx(record['measured']['accuracy'], abs=.003)

@pytest.mark.parametrize('name', ['vit', 'swin'])
def test_certificates_of_transformers(name):
    x = DecoyScenes('test', 4, seed=0).x
    asked = ['gradient', 'integrated_gradients', 'gradcam', 'attn_lrp', 'guided_backprop']
    found = str(certify_exactness(build_model(f'demo-vit/{name}'), x, names=asked))
    assert 'scores do not depend on the batch' in found and 'gradient: exact' in found and 'gradcam: exact' in found
    assert 'guided_backprop: not applicable; guided backprop and deconvnet are defined for ReLUs' in found

def test_only_swin_takes_the_larger_images_of_the_grid_pointing_game():
    scenes, maps = DecoyScenes('test', 12, seed=0), torch.zeros(12, 1, 32, 32)
    score = metric_registry['grid_pointing_game']
    def of(name):
        net = build_model(f'demo-vit/{name}')
        return score(net, scenes.x, net(scenes.x).argmax(1), maps, explain=lambda model, x, target: x.abs(), confidence=0)
    assert len(of('swin'))
    with pytest.raises(NotApplicable): of('vit')

@pytest.mark.parametrize('job', ['roar', 'trend'])
def test_studies_that_train_take_a_transformer(job):
    made = plan(customize_profile('smoke', job=job, models=['demo-vit/vit?w=16']))
    assert {w.network.name for w in made.work if w.network} == {'demo-vit/vit?w=16'}

@pytest.mark.slow
@pytest.mark.parametrize('job', ['roar', 'trend'])
def test_studies_that_train_run_with_a_transformer(job, tmp_path):
    run = children.call('xainb-sweep', job, '--profile', 'smoke', '--threads', '1', '--jobs', '1', '--models', 'demo-vit/vit?w=16', '--out', tmp_path)
    assert run.returncode == 0 and len(Store(tmp_path).read()), run.stdout + run.stderr
