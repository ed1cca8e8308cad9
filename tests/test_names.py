"""A result's name says everything that it depends on: any one input changed gives another name, none changed the same.

Every field of a profile is listed, either with a change that must give other names or as one that must not; a new field has to be put into one of the lists."""
import os, shutil
from dataclasses import fields, replace
import numpy as np, pytest, torch
from PIL import Image
import xainb.store, xainb.sweeps.plan
from xainb.core import BadInput
from xainb.data.decoys import DecoyScenes
from xainb.data.scenes import PlainScenes
from xainb.explainers.ensembles import on_images
from xainb.sweeps.evaluate import EvaluationProfile, evaluation_id, load_images
from xainb.store import digest
from xainb.sweeps.plan import customize_profile, plan, check_same_run
from xainb.sweeps.roar import RoarProfile, run_roar, roar_study
from xainb.sweeps.trend import TrendProfile, trend_study
from xainb.models.recipes import Recipe
from xainb.studies.roar import RoarStudy

network = '''
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 10)
    def forward(self, x): return self.fc(self.conv(x).relu().mean((2, 3)))
'''

def picture(seed): return np.random.RandomState(seed).randint(0, 256, (20, 24, 3), 'uint8')

def names(p):
    "Everything that results of a profile are called: runs, their units, and the attributions to look at"
    made = plan(p)
    return {(r.id, u) for r in made.runs for u in r.units}, made.facts.get('maps')

def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

def one_pixel(path):
    pixels = np.array(Image.open(path))
    pixels[3, 5, 1] ^= 1
    Image.fromarray(pixels).save(path)

def touch(folder):
    for f in folder.rglob('*'):
        if f.is_file(): os.utime(f, (0, 0))

def split_names(p, changed, free):
    "Is every field of the profile in one of the lists?"
    assert {f.name for f in fields(p)} == changed.keys() | free.keys()

# evaluate

@pytest.fixture
def photographs(tmp_path):
    (tmp_path/'images').mkdir()
    for i in range(3): Image.fromarray(picture(i)).save(tmp_path/'images'/f'{i}.png')
    (tmp_path/'annotations.csv').write_text('file,label,x0,y0,x1,y1\n0.png,0,2,2,14,14\n1.png,1,3,3,15,15\n2.png,2,4,4,16,16\n')
    (tmp_path/'nets.py').write_text(network)
    return tmp_path

def evaluation(home):
    return EvaluationProfile('test', 'a test', dict(gradient={}, rise=dict(n_masks=8)), 'photos', dict(folder=str(home), crop=16, resize=20),
                             models=[f'{home}/nets.py:Net'], metrics=dict(insertion=dict(n_steps=4)), images=2, accuracy_images=3, shift_images=2, chunk=2, show=1)

evaluation_files = dict(
    pixel=lambda d: one_pixel(d/'images'/'1.png'),
    picture=lambda d: Image.fromarray(picture(9)).save(d/'images'/'1.png'),
    name=lambda d: (os.rename(d/'images'/'1.png', d/'images'/'7.png'), edit(d/'annotations.csv', '1.png', '7.png')),
    label=lambda d: edit(d/'annotations.csv', '1.png,1', '1.png,0'),
    box=lambda d: edit(d/'annotations.csv', '3,3,15,15', '3,3,15,16'),
    no_boxes=lambda d: (d/'annotations.csv').write_text('file,label\n0.png,0\n1.png,1\n2.png,2\n'),
    fewer=lambda d: edit(d/'annotations.csv', '2.png,2,4,4,16,16\n', ''),
    weights=lambda d: edit(d/'nets.py', 'manual_seed(0)', 'manual_seed(1)'),
    code=lambda d: edit(d/'nets.py', '.relu()', '.tanh()'))

@pytest.mark.parametrize('change', evaluation_files)
def test_evaluate_reads_other_files(change, photographs):
    p = evaluation(photographs)
    before, _ = names(p)
    evaluation_files[change](photographs)
    after, _ = names(p)
    assert not {r for r, _ in before} & {r for r, _ in after}

def test_evaluate_reads_the_same_files(photographs, tmp_path_factory):
    p = evaluation(photographs)
    before = names(p)
    assert names(p) == before
    touch(photographs)
    assert names(p) == before
    elsewhere = shutil.copytree(photographs, tmp_path_factory.mktemp('elsewhere')/'copy')
    assert names(evaluation(elsewhere)) == before

def test_evaluate_every_field(photographs):
    p = evaluation(photographs)
    changed = dict(models=['demo/resnet'], explainers=dict(gradient={}, rise=dict(n_masks=9)), metrics=dict(insertion=dict(n_steps=5)), dataset='decoy_scenes',
                   data=p.data | dict(crop=17), images=3, accuracy_images=2, shift_images=1, chunk=1, seed=1)
    free = dict(name='other', about='another', show=2, compile=False) # A graph gives the same scores, and rows say which one ran
    split_names(p, changed, free)
    before = names(p)
    for field, value in changed.items(): assert names(replace(p, **{field: value}, **(dict(data={}) if field == 'dataset' else {})))[0] != before[0], field
    for field, value in free.items(): assert names(replace(p, **{field: value})) == before, field
    assert names(replace(p, data=p.data | dict(resize=19)))[0] != before[0]
    assert names(replace(p, explainers=dict(gradient={}, rise=dict(n_masks=np.int64(8))))) == before # A numpy integer is the same number

def test_evaluate_only_what_changed(photographs):
    "Another parameter of one explainer renames its own units and attributions, and no others"
    p = evaluation(photographs)
    (before, maps), (after, other) = names(p), names(replace(p, explainers=dict(gradient={}, rise=dict(n_masks=9))))
    assert {u for _, u in before ^ after} and all('rise' in u for _, u in before ^ after)
    assert maps['gradient'] == other['gradient'] and maps['rise'] != other['rise']

def test_options_of_a_model_string(tmp_path):
    from safetensors.torch import save_file
    from torchvision.models import get_model
    from xainb.models.zoo import model_card
    for n, seed in (('a', 0), ('b', 0), ('c', 1)):
        torch.manual_seed(seed); save_file(get_model('squeezenet1_1', num_classes=4).state_dict(), tmp_path/f'{n}.safetensors')
    def called(file, more=''):
        spec = f'torchvision/squeezenet1_1:{tmp_path}/{file}.safetensors?classes=4{more}'
        return evaluation_id(customize_profile('smoke'), spec, model_card(spec), '')
    assert called('a') == called('b') # Where the file lies says nothing
    assert len({called('a'), called('c'), called('a', '&mean=0.5'), called('a', '&std=0.5'), called('a', '&name=second'), called('a', '&training=robust')}) == 6

def test_run_refuses_other_data_than_planned(photographs):
    p = evaluation(photographs)
    run = plan(p).runs[0]
    one_pixel(photographs/'images'/'0.png')
    with pytest.raises(BadInput, match='was planned for other data or another network'): check_same_run(run.id, plan(p).runs[0].id)

def test_weights_that_nobody_can_have_again(photographs):
    edit(photographs/'nets.py', 'torch.manual_seed(0)', 'pass')
    with pytest.raises(BadInput, match='nets:Net has other weights each time it is made'): plan(evaluation(photographs))

def test_schema(photographs, monkeypatch):
    p = evaluation(photographs)
    before, _ = names(p)
    monkeypatch.setattr(xainb.store, 'schema_version', 99)
    assert not {r for r, _ in before} & {r for r, _ in names(p)[0]}

# roar and trend

@pytest.fixture
def folders(tmp_path):
    for i, (split, c, k) in enumerate((s, c, k) for s in ('train', 'test') for c in 'abcd' for k in range(6 if s == 'train' else 2)):
        (tmp_path/split/c).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(i)).save(tmp_path/split/c/f'{k}.png')
    (tmp_path/'nets.py').write_text(network)
    return tmp_path

folder_files = dict(
    train_pixel=lambda d: one_pixel(d/'train'/'a'/'3.png'),
    test_pixel=lambda d: one_pixel(d/'test'/'b'/'1.png'),
    other_picture=lambda d: Image.fromarray(picture(99)).save(d/'train'/'c'/'2.png'),
    label=lambda d: os.rename(d/'train'/'a'/'5.png', d/'train'/'b'/'6.png'),
    class_name=lambda d: [os.rename(d/s/'d', d/s/'e') for s in ('train', 'test')],
    code=lambda d: edit(d/'nets.py', '.relu()', '.tanh()'))

def roar(home):
    return RoarProfile('test', 'a test', dict(ig=dict(explainer='integrated_gradients', n_steps=3)), 'image_folder', dict(folder=str(home), size=16, resize=18),
                       network=f'{home}/nets.py:Net', train_images=0, test_images=0, fractions=(.5,), repeats=1, recipe=dict(epochs=1))

def trend(home):
    return TrendProfile('test', 'a test', dict(ig=dict(explainer='integrated_gradients', n_steps=3)), 'image_folder', dict(folder=str(home), size=32, resize=32),
                        network=f'{home}/nets.py:Net', train_images=0, test_images=0, share=.3, images=3, emt_images=2, at=(0, .5, 1), recipe=dict(epochs=3), backdoor=dict(epochs=1))

def runs(p): return {r.id for r in plan(p).runs}

@pytest.mark.parametrize('profile', [roar, trend])
@pytest.mark.parametrize('lazy', [False, True])
@pytest.mark.parametrize('change', folder_files)
def test_trainings_read_other_files(change, lazy, profile, folders):
    p = profile(folders)
    p = replace(p, data=p.data | dict(lazy=lazy))
    if lazy and profile is trend: pytest.skip('trend tests poison labels, which are read at once')
    before = runs(p)
    folder_files[change](folders)
    assert not before & runs(p)

@pytest.mark.parametrize('profile', [roar, trend])
def test_trainings_read_the_same_files(profile, folders, tmp_path_factory):
    before = names(profile(folders))
    touch(folders)
    assert names(profile(folders)) == before
    elsewhere = shutil.copytree(folders, tmp_path_factory.mktemp('elsewhere')/'copy')
    moved = replace(profile(elsewhere), network=profile(folders).network)
    assert names(moved) == before

other_recipe = dict(epochs=4, bs=32, lr=.05, schedule='steps', warm_up=1, drops=(1,), momentum=.8, wd=1e-3, smoothing=.2, shift=1, area=(.5, 1), ratio=(.8, 1.2), flip=True, precision='float32', device='cpu')

def test_every_field_of_a_recipe():
    assert other_recipe.keys() == {f.name for f in fields(Recipe)}

@pytest.mark.parametrize('field', other_recipe)
@pytest.mark.parametrize('profile', [roar, trend])
def test_recipes(profile, field, folders):
    p = profile(folders)
    assert not runs(p) & runs(replace(p, recipe=p.recipe | {field: other_recipe[field]}))

def test_roar_every_field(folders):
    p = roar(folders)
    changed = dict(explainers=dict(ig=dict(explainer='integrated_gradients', n_steps=4)), network='demo/resnet?w=8', dataset='plain_scenes', data=p.data | dict(size=15), train_images=20, test_images=7,
                   fractions=(.6,), repeats=2, modes=('kar',), unit='pixel', reduce='abs_sum', recipe=dict(epochs=2), shard=10, seed=1)
    free = dict(name='other', about='another', workers=1, size=(4, 3, 16, 16), compile=False)
    split_names(p, changed, free)
    before = names(p)
    for field, value in changed.items(): assert names(replace(p, **{field: value}, **(dict(data={}, train_images=24, test_images=8, network='demo/resnet') if field == 'dataset' else {}))) != before, field
    for field, value in free.items(): assert names(replace(p, **{field: value})) == before, field
    assert not runs(p) & runs(replace(p, data=p.data | dict(resize=17)))
    assert not runs(roar(folders)) & runs(replace(p, network='demo/resnet?w=8')) and not runs(replace(p, network='demo/resnet?w=8')) & runs(replace(p, network='demo/resnet?w=16'))

def test_trend_every_field(folders):
    p = trend(folders)
    changed = dict(explainers=dict(ig=dict(explainer='integrated_gradients', n_steps=4)), network='demo/resnet?w=8', dataset='plain_scenes', data=p.data | dict(resize=40), train_images=22, test_images=7,
                   tests=('ptt',), options=dict(ptt=dict(shares=(0, .5, 1))), trigger=dict(pattern='cross'), target=1, share=.4, images=2, emt_images=3, at=(0, 1), repeats=2, recipe=dict(epochs=4), backdoor=dict(epochs=2), seed=1)
    free = dict(name='other', about='another', workers=1, compile=False)
    split_names(p, changed | dict(kind='texts'), free) # Another kind of data is another network and another trigger
    before = names(p)
    for field, value in changed.items():
        more = dict(data={}, train_images=200, test_images=8, network='demo/resnet') if field == 'dataset' else dict(at=(0, .5, 1)) if field == 'backdoor' else dict(tests=('ptt', 'emt')) if field == 'at' else {}
        assert names(replace(p, **{field: value} | more)) != (names(replace(p, **more)) if field == 'at' else before), field
    for field, value in free.items(): assert names(replace(p, **{field: value})) == before, field

def test_images_in_memory():
    "A study of images that come from no file"
    def study(train=None, **more):
        scenes = PlainScenes('train', 40, 0)
        from xainb.models.zoo import new_network
        return RoarStudy(new_network('demo/resnet?w=8'), scenes if train is None else train, PlainScenes('test', 10, 0), dict(g=on_images('gradient')), **dict(recipe=dict(epochs=1)) | more)
    before = study().id
    assert study().id == before
    changed = PlainScenes('train', 40, 0); changed.x[7, 1, 5, 5] += .01
    assert study(changed).id != before
    relabeled = PlainScenes('train', 40, 0); relabeled.y = relabeled.y.clone(); relabeled.y[3] = (relabeled.y[3] + 1) % 10
    assert study(relabeled[:40]).id != study(PlainScenes('train', 40, 0)[:40]).id
    assert study(PlainScenes('train', 41, 0)).id != before and study(PlainScenes('train', 40, 1)).id != before

def test_code_of_your_own_explainer():
    def study(f):
        from xainb.models.zoo import new_network
        return RoarStudy(new_network('demo/resnet?w=8'), PlainScenes('train', 40, 0), PlainScenes('test', 10, 0), dict(mine=f), recipe=dict(epochs=1)).run_id('ranks', 'mine')
    def mine(model, x, target): return x
    first = study(mine)
    def mine(model, x, target): return -x
    assert study(mine) != first

def test_two_data_folders_in_one_output(folders, tmp_path):
    "What was reported: the second folder is not answered with rows and ranks of the first"
    from xainb.store import Store
    store = Store(tmp_path/'out')
    p = replace(roar(folders), network='demo/resnet?w=8', explainers=dict(gradient=dict(explainer='gradient')))
    for r in plan(p).runs: run_roar(roar_study(p, store), **r.parameters, run=r.id)
    first = len(store.units())
    folder_files['train_pixel'](folders)
    assert not any(store.done(r.id) for r in plan(p).runs)
    for r in plan(p).runs: run_roar(roar_study(p, store), **r.parameters, run=r.id)
    assert len(store.units()) == 2*first

def test_fingerprints_are_short_work(folders):
    "A second plan of the same folder reads no picture again once their times have settled"
    import xainb.store
    p = replace(roar(folders), data=roar(folders).data | dict(lazy=True))
    touch(folders)
    before = runs(p)
    assert runs(p) == before and len(load_images(customize_profile('smoke'), 2)) == 2 and all(digest(s('test', 3, 0)) == digest(s('test', 9, 0)) for s in (DecoyScenes, PlainScenes))
