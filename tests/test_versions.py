"""Results that version 0.1 has written are read by this version.

`results_0_1.tar.xz` is what xainb 0.1.0 wrote with `xainb-sweep`, unchanged but for its size: of twelve networks and twelve explainers, two and three
are left, with two metrics on 16 images and one image to show, and the plan lists only these. Three names in it are old ones: `centre_blob`, `shap` and `digit_scenes`."""
import json, tarfile
from pathlib import Path
import numpy as np, pyarrow.parquet as pq, pytest
import xainb
from xainb.core import metric_rows
from xainb.reports.evaluate import EvaluationReport
from xainb.store import Store, schema_version

@pytest.fixture(scope='module')
def old(tmp_path_factory):
    "The folder of results"
    folder = tmp_path_factory.mktemp('old')
    with tarfile.open(Path(__file__).with_name('results_0_1.tar.xz')) as packed: packed.extractall(folder, filter='data')
    return folder/'results_0_1'

def schema_of(file): return pq.read_schema(file).metadata[b'xainb_schema'].decode()

def test_rows_keep_their_values_and_get_new_names(old):
    files = sorted((old/'rows').rglob('*.parquet'))
    assert len(files) == 14 and {schema_of(f) for f in files} == {'1'}
    raw = sorted(v for f in files for v in pq.read_table(f)['value'].to_pylist())
    rows = Store(old).read()
    assert sorted(rows.value) == raw and len(raw) > 4000
    assert set(rows.explainer) == {'', 'gradient', 'expected_gradients', 'center_blob'} and set(rows.dataset) == {'plain_scenes'}
    assert {json.loads(p).get('n_steps') for p in rows.query("metric == 'insertion'").metric_params} == {10}

def test_report_of_old_results(old):
    report = EvaluationReport(old)
    assert report.models == ['demo/alexnet', 'demo/resnet'] and set(report.explainers) == {'gradient', 'expected_gradients', 'center_blob'}
    means = Store(old).read().query("metric == 'insertion'").groupby('explainer', observed=True).value.mean()
    assert means.between(0, 1).all() and len(means) == 3
    maps = [report._map(r['id'], e, 0, (32, 32)) for r in report.plan['runs'] for e in report.explainers]
    assert np.isfinite(maps).all() and len(maps) == 6
    report.save()
    page = (old/'report.html').read_text(encoding='utf-8')
    assert 'center_blob' in page and 'centre_blob' not in page and page.count('<figure') >= 3

def test_new_rows_say_their_version(tmp_path):
    store = Store(tmp_path)
    store.write('run', 'unit', metric_rows('insertion', [.5]))
    assert schema_of(store.units()[0]) == str(schema_version) == '2'

def test_each_version_has_a_fixture_of_the_one_before():
    "Whoever raises the version of the schema has to add results of the present one, and a test that reads them"
    assert schema_version == 2 and xainb.__version__.startswith('0.2.')
