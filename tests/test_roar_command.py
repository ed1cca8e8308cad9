"`xainb-sweep roar`: killed and resumed without repeating a training, the same rows on any number of kernels, and a page at the end."
import time
import children
from xainb.reports.roar import RoarReport
from xainb.store import Store, same_rows

small = ['roar', '--profile', 'smoke', '--threads', '1']
def call(out, *args): return children.call('xainb-sweep', *small, '--out', out, *args)
def trained(store): return {f: f.stat().st_mtime_ns for f in store.units()}

def test_killed_roar_goes_on_without_repeating_a_training(tmp_path):
    whole, broken = Store(tmp_path/'whole'), Store(tmp_path/'broken')
    run = call(whole.folder, '--jobs', '1')
    assert run.returncode == 0 and '6 of 6 runs complete' in run.stdout, run.stdout + run.stderr
    page = (whole.folder/'report.html').read_text(encoding='utf-8')
    assert page.count('<figure>') >= 3 and 'gradient against random_control' in page
    assert len(RoarReport(whole.folder).trainings()) == 9
    process = children.start('xainb-sweep', *small, '--jobs', '1', '--out', broken.folder)
    deadline = time.time() + 300
    while not any(u.startswith('roar') for r, u in broken._units() if 'ranks' not in r) and time.time() < deadline: time.sleep(.02)
    children.kill(process)
    before = trained(broken)
    assert 0 < len(before) < len(whole.units())
    assert call(broken.folder, '--jobs', '2').returncode == 0
    assert same_rows(whole.read(), broken.read())
    assert {f: t for f, t in trained(broken).items() if f in before} == before
