"`xainb-sweep trend`: killed and resumed without repeating a training, the same rows, and a page at the end."
import time
import children
from xainb.store import Store, same_rows
from xainb.reports.trend import TrendReport

small = ['trend', '--profile', 'smoke', '--threads', '1']
def call(out, *args): return children.call('xainb-sweep', *small, '--out', out, *args)
def made(store): return {f: f.stat().st_mtime_ns for f in store.folder.rglob('*') if f.suffix in ('.parquet', '.safetensors')}

def test_killed_trend_tests_go_on_without_repeating_a_training(tmp_path):
    whole, broken = Store(tmp_path/'whole'), Store(tmp_path/'broken')
    run = call(whole.folder, '--jobs', '1')
    assert run.returncode == 0 and '3 of 3 runs complete' in run.stdout, run.stdout + run.stderr
    page = (whole.folder/'report.html').read_text(encoding='utf-8')
    assert page.count('<figure>') == 2 and 'random maps reach' in page
    assert set(TrendReport(whole.folder).scores.explainer) == {'gradient', 'random_control'}
    process = children.start('xainb-sweep', *small, '--jobs', '1', '--out', broken.folder)
    deadline = time.time() + 300
    while not any('gradient' in r for r, _ in broken._units()) and time.time() < deadline: time.sleep(.02)
    children.kill(process)
    before = made(broken)
    assert 0 < len(before) < len(made(whole))
    assert call(broken.folder, '--jobs', '2').returncode == 0
    assert same_rows(whole.read(), broken.read())
    assert {f: t for f, t in made(broken).items() if f in before} == before
