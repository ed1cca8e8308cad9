"The explorer of a sweep without a browser: what it shows is held against numbers that pyarrow reads from the files, and against the maps that the sweep kept."
import json
from pathlib import Path
import numpy as np, pandas as pd, pyarrow.parquet as pq, pytest
from xainb.core import BadInput, NotApplicable, explainer_registry
from xainb.explorer.results import SweepResults
from xainb.explorer.sweep import SweepExplorer

repo = Path(__file__).parents[1]
packed = repo/'nbs'/'results'/'real_photographs' # Maps were packed; the networks and photographs were not

@pytest.fixture(scope='module')
def rows(small_sweep): return pd.concat([pq.read_table(f).to_pandas().astype({c: str for c in ('model', 'explainer', 'metric', 'image', 'note')})
                                         for f in (small_sweep/'rows').rglob('*.parquet')])

@pytest.fixture
def explorer(small_sweep):
    explorer = SweepExplorer(small_sweep)
    yield explorer
    explorer.worker.cancel()

def scores(rows, **where):
    for column, value in where.items(): rows = rows[rows[column] == value]
    return rows.dropna(subset='value')

def test_every_number_of_the_table_is_a_mean_of_rows(rows, explorer):
    table, n = explorer.selected(), 0
    for (model, explainer), line in table.iterrows():
        for metric in ('insertion', 'deletion', 'pointing_game', 'mask_energy'):
            assert np.isclose(line[metric], scores(rows, model=model, explainer=explainer, metric=metric).value.mean()), (model, explainer, metric)
            n += 1
        assert line.passes == scores(rows, model=model, explainer=explainer, metric='cost').value.mean()
    assert n == 3*4 # CAM is not defined on the AlexNet
    shown = [[b[m].description for m in ('insertion', 'deletion')] for b in explorer.table.buttons[:len(table)]]
    assert shown == [[f'{v:.3f}' for v in line] for line in table[['insertion', 'deletion']].to_numpy()]

@pytest.mark.parametrize('metric,better', [('insertion', max), ('deletion', min)])
def test_images_of_a_cell_are_in_order(rows, explorer, metric, better):
    explorer.choose('demo/resnet', 'gradient', metric)
    own = scores(rows, model='demo/resnet', explainer='gradient', metric=metric).set_index('image').value
    assert own[explorer.controls['image'].value] == better(own)
    listed = [own[i] for _, i in explorer.controls['image'].options]
    assert listed == sorted(own, reverse=better is max) and len(listed) == 4

def test_maps_are_those_that_were_kept(small_sweep, explorer):
    "Explained again, and alone, an image gets the map that the sweep kept in half precision"
    r, compared = explorer.results, 0
    for model in r.models:
        for explainer in r.explainers:
            for image in r.plan['ids'][:2]:
                kept = r.kept_map(model, explainer, image)
                try: again = r.map_again(model, explainer, image)
                except NotApplicable: assert kept is None; continue
                assert np.abs(kept - again).max() <= 2e-3*np.abs(again).max()
                compared += 1
    assert compared == 2*3

def test_where_a_map_comes_from_is_said(explorer):
    kept, other = explorer.results.plan['ids'][0], explorer.results.plan['ids'][3]
    explorer.choose('demo/resnet', 'gradient', 'insertion', kept)
    assert explorer.wait(120) and 'kept by the sweep' in explorer.pictures.value
    explorer.choose('demo/resnet', 'gradient', 'insertion', other)
    assert explorer.wait(120) and 'explained again' in explorer.pictures.value and explorer.error == ''
    assert explorer.pictures.value.count('<img') == 2 and 'alt="saliency map of gradient' in explorer.pictures.value

class Job:
    "A job that keeps nothing"
    def once(self, key, f): return f()

def test_the_passes_of_a_map_are_those_of_its_size(explorer):
    explorer.results.profile['explainers']['occlusion'] = {}
    image, cost = explorer.results.plan['ids'][3], explainer_registry['occlusion'].cost
    assert explorer._images_to_pass(Job(), 'occlusion', image) == cost(size=(32, 32)) != cost()

def test_another_network_is_not_passed_off_as_that_of_the_sweep(explorer):
    run = next(r for r in explorer.results.plan['runs'] if r['name'] == 'demo/resnet')
    run['parameters']['model'] = 'demo/alexnet'
    explorer.choose('demo/resnet', 'gradient', 'insertion', explorer.results.plan['ids'][3])
    assert explorer.wait(120) and 'cannot be explained again' in explorer.pictures.value and explorer.error == ''
    assert explorer.pictures.value.count('<img') == 1 and 'The sweep kept saliency maps of 2 of its 4 images' in explorer.pictures.value

def test_results_without_pictures_and_networks_say_so(capfd):
    explorer = SweepExplorer(packed)
    results = explorer.results
    with_map = next(i for i in results.plan['ids'] if results.kept_map(results.models[0], results.explainers[0], i) is not None)
    explorer.choose(results.models[0], results.explainers[0], results.measured()[0], with_map)
    assert explorer.wait(120) and explorer.error == ''
    assert 'no picture: ' in explorer.pictures.value and 'kept by the sweep' in explorer.pictures.value
    without = next(i for i in results.scores.image.unique() if results.kept_map(results.models[0], results.explainers[0], i) is None)
    explorer.controls['image'].value = without
    assert explorer.wait(120) and 'no map: ' in explorer.pictures.value and '<img' not in explorer.pictures.value
    assert capfd.readouterr() == ('', '')

def test_budget_excludes_what_costs_more(rows, explorer):
    cost = scores(rows, metric='cost').groupby('explainer').value.mean()
    explorer.controls['view'].value = 'budget'
    for _, limit in explorer.controls['passes'].options:
        explorer.controls['passes'].value = limit
        choice, table = explorer.budget(), explorer.results.budget_table(explorer.controls['score'].value, limit)
        assert set(table.index[table.within]) == {e for e in table.index if cost[e] <= limit}
        assert not choice.best or cost[choice.best] <= limit
        assert choice.best in explorer.bought.value

def test_controls_are_marked_and_never_chosen():
    explorer = SweepExplorer(repo/'nbs'/'results'/'transformers')
    controls = {'sobel', 'center_blob', 'random_control'}
    explorer.controls['family'].value = 'control'
    assert set(explorer.table.shown.index.get_level_values('explainer')) == controls
    assert all('class="xainb-control"' in label.value for label in explorer.table.labels)
    for metric in explorer.results.measured():
        for model in ('', *explorer.results.models):
            if metric in explorer.results.cells() and explorer.results._competing(metric, model).empty: continue
            choice = explorer.results.best_within(metric, model=model)
            assert choice.best not in controls and choice.runner_up not in controls and choice.control in controls

def test_keys_of_the_table(explorer):
    explorer.table.titles['deletion'].click()
    first = explorer.table.shown.index[0]
    assert explorer.table.shown.deletion.is_monotonic_increasing
    explorer.table.buttons[0]['deletion'].click()
    assert explorer.cell == (*first, 'deletion')
    explorer.table.titles['deletion'].click()
    assert explorer.table.shown.deletion.is_monotonic_decreasing

def test_state_and_saved_page(explorer, tmp_path):
    explorer.choose('demo/resnet', 'gradient', 'deletion')
    with explorer.together(): explorer.controls['sort'].value, explorer.controls['explainers'].value = 'insertion', 'grad'
    state = json.loads(json.dumps(explorer.state()))
    other = SweepExplorer(explorer.results)
    other.load_state(dict(reversed(state.items()))) # In any order
    assert other.state() == state
    page = other.save_html(tmp_path/'view.html').read_text()
    assert 'src="http' not in page and page.count('<img') == 3 and other.controls['image'].value in page
    for wrong, why in ((dict(image='none'), 'the field image of a state'), (dict(kind='model'), 'not of kind'), (dict(x=1), 'unknown field of a state')):
        with pytest.raises(BadInput, match=why): other.load_state(state | wrong)
    assert other.state() == state

def test_nothing_is_printed(small_sweep, capfd):
    explorer = SweepExplorer(small_sweep)
    for view in ('scores', 'disagreement', 'budget'):
        explorer.controls['view'].value = view
        assert explorer.wait(120) and explorer.error == ''
    assert capfd.readouterr() == ('', '')

@pytest.mark.parametrize('results', ['photographs_with_controls', pytest.param('../papers/three_criteria_demo', marks=pytest.mark.slow)])
def test_shipped_results_open(results):
    explorer = SweepExplorer(repo/'nbs'/'results'/results)
    for view in ('scores', 'disagreement', 'budget'):
        explorer.controls['view'].value = view
        assert explorer.wait(300) and explorer.error == '', view

def test_an_unfinished_sweep(small_sweep, tmp_path):
    r = SweepResults(small_sweep)
    half = r.rows[(r.rows.model == 'demo/alexnet') & (r.rows.metric != 'deletion')]
    r.rows = half
    r.pack(tmp_path)
    explorer = SweepExplorer(tmp_path)
    assert explorer.results.models == ['demo/alexnet'] and 'deletion' not in explorer.selected()
    assert explorer.wait(120) and explorer.error == ''

@pytest.mark.parametrize('call,why', [(lambda r: r.images_of('demo/resnet', 'gradiant', 'insertion'), "did you mean 'gradient'"), (lambda r: r.select(sort='insert'), "did you mean 'insertion'"),
                                      (lambda r: r.budget_table('insertionn'), "did you mean 'insertion'"), (lambda r: r.agreement('demo/resnet', 'insertion', 'x'), "unknown metric 'x'")])
def test_bad_input(small_sweep, call, why):
    with pytest.raises(BadInput, match=why): call(SweepResults(small_sweep))

def test_controls_stay_open_when_the_images_change(explorer):
    "The widgets of the previous images are closed, and no others"
    for metric in ('deletion', 'insertion', 'mask_energy'):
        explorer.choose('demo/resnet', 'gradient', metric)
        assert explorer.wait(120) and len(explorer.strip_box.children) == 2
    all_open = [explorer.widget, explorer.table, *explorer.controls.values(), *explorer.strip_box.children, explorer.pictures]
    assert all(w.comm is not None for w in all_open)
