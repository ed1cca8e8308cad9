"What notebooks cannot show: the command as a person types it, and what is left after kill -9."
import shutil, time
import pytest
import children
from conftest import small
from xainb.reports.evaluate import EvaluationReport
from xainb.store import Store, same_rows

def call(*args): return children.call('xainb-sweep', *args)
def again(out, *args): return call(*small, '--jobs', 1, '--out', out, *args)

def refused(out, *args):
    "The one sentence that a bad call prints; nothing else may be said"
    run = call('--profile', 'smoke', '--out', out, *args)
    lines = [l for l in run.stderr.splitlines() if l.strip()]
    assert run.returncode == 2 and len(lines) == 1 and lines[0].startswith('xainb-sweep: '), (run.returncode, run.stderr)
    return lines[0].removeprefix('xainb-sweep: ')

def test_ends_with_a_report(small_sweep):
    out = small_sweep
    assert '2 of 2 runs complete' in (out/'stdout').read_text() and (out/'report.html').stat().st_size > 50_000
    assert len(list((out/'notebooks').glob('*.ipynb'))) == 3

def test_second_call_does_nothing_again(small_sweep, tmp_path):
    out = shutil.copytree(small_sweep, tmp_path/'copy')
    before = {f: f.stat().st_mtime_ns for f in Store(out).units()}
    assert again(out).stdout.count('done before') == 2
    assert {f: f.stat().st_mtime_ns for f in Store(out).units()} == before

def test_same_seed_same_rows_and_another_seed_others(small_sweep, tmp_path):
    assert again(tmp_path/'again', '--models', 'demo/alexnet').returncode == 0
    rows = Store(small_sweep).read().query("model == 'demo/alexnet'")
    assert same_rows(rows, Store(tmp_path/'again').read())
    assert again(tmp_path/'other', '--models', 'demo/alexnet', '--seed', 1).returncode == 0
    assert not same_rows(rows, Store(tmp_path/'other').read().assign(seed=0))

def test_killed_sweep_is_finished_by_the_same_command(small_sweep, tmp_path):
    process = children.start('xainb-sweep', *small, '--jobs', 1, '--out', tmp_path)
    deadline = time.time() + 300
    while len(Store(tmp_path).units()) < 5 and time.time() < deadline: time.sleep(.02)
    children.kill(process)
    done = len(Store(tmp_path).units())
    assert 5 <= done < len(Store(small_sweep).units())
    assert again(tmp_path).returncode == 0
    assert same_rows(Store(small_sweep).read(), Store(tmp_path).read())

def test_a_failing_network_does_not_stop_the_others(tmp_path):
    (tmp_path/'nets.py').write_text('''
import torch
class Breaks(torch.nn.Module):
    def __init__(self): super().__init__(); torch.manual_seed(0); self.fc = torch.nn.Linear(3, 10)
    def forward(self, x):
        if len(x) > 1: raise RuntimeError("this network takes one image")
        return self.fc(x.mean((2, 3)))
''')
    run = call('--profile', 'smoke', '--models', f'{tmp_path}/nets.py:Breaks,demo/resnet', '--explainers', 'gradient', '--images', 2, '--out', tmp_path/'out')
    assert run.returncode == 1
    assert '1 of 2 runs complete' in run.stdout and 'failed' in run.stdout and 'RuntimeError: this network takes one image' in run.stdout
    assert EvaluationReport(tmp_path/'out').models == ['demo/resnet']

def test_dry_run_writes_nothing(tmp_path):
    run = call('--profile', 'demo', '--dry-run', '--out', tmp_path/'x')
    assert run.returncode == 0 and run.stdout.count('demo/') == 12 and not (tmp_path/'x').exists()

@pytest.mark.parametrize('args, says', [
    (['--profile', 'dmo'], "unknown profile 'dmo': did you mean 'demo'?"),
    (['--models', 'demo/resnt'], "unknown model 'demo/resnt': did you mean 'demo/resnet'?"),
    (['--explainers', 'gradcan'], "unknown explainer 'gradcan': did you mean 'gradcam'?"),
    (['--metrics', 'insert'], "unknown metric 'insert': did you mean 'insertion'?"),
    (['--images', '-3'], 'the number of images is at least 1, not -3'),
    (['--images', '0'], 'the number of images is at least 1, not 0'),
    (['--seed', '-1'], 'a seed is a whole number from 0 to 2147483647, not -1'),
    (['--explainers', ' , '], "' , ' contains no name: give names with commas between them"),
    (['--explainers', 'gradient, gradcan'], "unknown explainer 'gradcan': did you mean 'gradcam'?"),
    (['--models', 'resnet50'], "unknown model 'resnet50': did you mean 'torchvision/resnet50:weights.safetensors' or 'timm/resnet50:weights.safetensors'?"),
    (['--models', 'vit_tiny_patch16_224'], "unknown model 'vit_tiny_patch16_224': did you mean 'timm/vit_tiny_patch16_224:weights.safetensors'?"),
    (['--idle-limit', '-1'], 'the idle limit of a kernel is a number of seconds, or 0 for no limit, not -1'),
    (['--silence', '-1'], 'the idle limit of a kernel is a number of seconds, or 0 for no limit, not -1'),
    (['roar', '--epochs', '0'], 'the number of epochs is at least 1, not 0'),
    (['roar', '--fractions', 'half'], 'fractions are numbers above 0 and at most 1, not half'),
    (['trend', '--repeats', '-1'], 'the number of repeats is at least 1, not -1'),
    (['roar', '--models', 'resnet50'], "unknown model 'resnet50': did you mean 'torchvision/resnet50' or 'timm/resnet50'?"),
    (['evalute'], "unknown job 'evalute': did you mean 'evaluate'?"),
    (['--fractions', '.1'], "job 'evaluate' with profile 'smoke' has no option 'fractions'; it has models, explainers, metrics, images, seed, split, size, style, task, patch, strength"),
    (['--jobs', '-1'], 'jobs and threads are at least 1, not -1'),
    (['--jobs', '2', '--scheduler', 'tcp://127.0.0.1:1'], 'jobs are for this machine; a cluster runs as many notebooks at the same time as its workers have threads or GPUs'),
    (['--models', 'torchvision/squeezenet1_1:no.safetensors'], "no weights file at 'no.safetensors'")])
def test_bad_names(args, says, tmp_path): assert refused(tmp_path, *args) == says

def weights(tmp_path, net='resnet', **options):
    from safetensors.torch import save_file
    from torchvision.models import get_model
    save_file(get_model('squeezenet1_1', num_classes=10).state_dict(), tmp_path/'w.safetensors')
    return f"torchvision/{net}:{tmp_path}/w.safetensors?classes=10" + ''.join(f'&{k}={v}' for k, v in options.items())

def test_bad_weights(tmp_path):
    assert "is not for ResNet" in refused(tmp_path, '--models', weights(tmp_path, 'resnet18'))
    assert 'has checksum' in refused(tmp_path, '--models', weights(tmp_path, 'squeezenet1_1', sha256='00ff'))
    spec = weights(tmp_path, 'squeezenet1_1')
    (tmp_path/'w.safetensors').write_bytes((tmp_path/'w.safetensors').read_bytes()[:-100])
    assert 'it may be truncated' in refused(tmp_path, '--models', spec)

def test_bad_photographs(tmp_path):
    from PIL import Image
    photos = lambda table: [(tmp_path/'annotations.csv').write_text('file,label,x0,y0,x1,y1\n' + table), '--profile', 'photos', '--data', tmp_path, '--models', weights(tmp_path, 'squeezenet1_1')][1:]
    (tmp_path/'images').mkdir()
    assert 'no images in' in refused(tmp_path/'o', *photos('a.png,0,1,1,9,9'))
    Image.new('RGB', (240, 240)).save(tmp_path/'images'/'a.png')
    assert 'is not inside the image of 240 by 240 pixels' in refused(tmp_path/'o', *photos('a.png,0,1,1,9,999'))
    assert 'label 10 is outside the 10 classes' in refused(tmp_path/'o', *photos('a.png,10,20,20,90,90'))
    assert 'class numbers from 0' in refused(tmp_path/'o', *photos('a.png,cat,20,20,90,90'))
    assert 'lies outside of' in refused(tmp_path/'o', *photos('../../b.png,0,20,20,90,90'))
    assert "none of the 1 images named in the table can be read" in refused(tmp_path/'o', *photos('../../b.png,0,20,20,90,90'), '--allow-outside')

def test_bad_output(tmp_path):
    (tmp_path/'file').write_text('')
    assert 'cannot write' in refused(tmp_path/'file')

def test_results_of_another_version(small_sweep, tmp_path):
    import pyarrow.parquet as pq
    out = shutil.copytree(small_sweep, tmp_path/'old')
    for f in Store(out).units(): pq.write_table(pq.read_table(f).replace_schema_metadata({'xainb_schema': '0'}), f)
    run = again(out)
    assert run.returncode != 0 and 'has results of schema version 0; this xainb reads version' in run.stderr
