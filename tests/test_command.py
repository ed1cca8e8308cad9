"What notebooks cannot show: the command as a person types it, and what is left after kill -9."
import re, shutil, time
import pytest
import children, xainb
from conftest import small
from xainb.reports.evaluate import EvaluationReport
from xainb.store import Store, same_rows
from xainb.sweeps.cli import jobs, plan_main, read_options

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
    (['--profile', 'food101'], "profile 'food101' belongs to the job roar: write xainb-sweep roar --profile food101"),
    (['--profile', 'photos', '--data', 'no-such-folder'], "--data: there is no folder 'no-such-folder'"),
    (['--wait', '-1'], '--wait is a number of seconds, or 0 for no limit, not -1'),
    (['--threads', '2000'], 'threads are those of one notebook, at most 1024, not 2,000'),
    (['--jobs', '-1'], 'jobs and threads are at least 1, not -1'),
    (['--jobs', '2', '--scheduler', 'tcp://127.0.0.1:1'], 'jobs are for this machine; a cluster runs as many notebooks at the same time as its workers have threads or GPUs'),
    (['--models', 'torchvision/squeezenet1_1:no.safetensors'], "no weights file at 'no.safetensors'")])
def test_bad_names(args, says, tmp_path): assert refused(tmp_path, *args) == says

typed = [
    ('--imags 3', "unknown option '--imags': did you mean '--images'?"),
    ('--Images 3', "unknown option '--Images': did you mean '--images'?"),
    ('--no_compile', "unknown option '--no_compile': did you mean '--no-compile'?"),
    ('-seed 3', "unknown option '-seed': did you mean '--seed'?"),
    ('--image=3', "unknown option '--image': did you mean '--images'?"),
    ('--quick', "unknown option '--quick'; xainb-sweep --help shows all"),
    ('--images', '--images needs a value'),
    ('--images --seed 1', '--images needs a value'),
    ('--images many', "--images takes a whole number, not 'many'"),
    ('--images 3.5', "--images takes a whole number, not '3.5'"),
    ('--wait soon', "--wait takes a number, not 'soon'"),
    ('--dry-run=yes', "--dry-run takes no value, not 'yes'"),
    ('evalute', "unknown job 'evalute': did you mean 'evaluate'?"),
    ('demo', "unknown job 'demo'; known: evaluate, roar, trend (names have commas between them and no blanks)"),
    ('--explainers gradient gradcam', "unknown job 'gradcam'; known: evaluate, roar, trend (names have commas between them and no blanks)"),
    ('roar imagenet', "unexpected 'imagenet': after the job come options, and names have commas between them and no blanks"),
    ('--fractions .1', '--fractions is an option of roar, and not of evaluate: write xainb-sweep roar --fractions …'),
    ('--epochs 3', '--epochs is an option of roar and trend, and not of evaluate: write xainb-sweep roar --epochs …'),
    ('trend --metrics insertion', '--metrics is an option of evaluate, and not of trend: write xainb-sweep evaluate --metrics …'),
    ('roar --tests embt', '--tests is an option of trend, and not of roar: write xainb-sweep trend --tests …'),
    ('roar --labels x.csv', '--labels is an option of evaluate, and not of roar: write xainb-sweep evaluate --labels …'),
    ('--list explainer', "--list knows all, jobs, profiles, explainers, metrics, models, datasets, not 'explainer': did you mean 'explainers'?"),
    ('--list roar', "--list knows all, jobs, profiles, explainers, metrics, models, datasets, not 'roar'"),
    ('--gpus 8', "unknown option '--gpus'; xainb-sweep --help shows all")]

@pytest.mark.parametrize('words, says', typed)
def test_bad_options(words, says, capsys):
    "Found by the parser, so before anything is imported"
    with pytest.raises(SystemExit) as end: read_options('xainb-sweep', words.split())
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err) == (2, '', f'xainb-sweep: {says}\n')

@pytest.mark.parametrize('words, says', [
    ('--gpus -1', '--gpus is a number of GPUs or other workers, not -1'),
    ('--gpus all', "--gpus takes a whole number, not 'all'"),
    ('--price -2', '--price is the price of an hour, at least 0, not -2'),
    ('--speed-up 0', '--speed-up is a factor above 0, such as 10, not 0'),
    ('--speed-up nan', '--speed-up is a factor above 0, such as 10, not nan'),
    ('--price inf', '--price is the price of an hour, at least 0, not inf'),
    ('--timings .', "'.' is not a file of timings that xainb-plan wrote (IsADirectoryError)"),
    ('--dry-run', "unknown option '--dry-run'; xainb-plan --help shows all")])
def test_bad_plans(words, says, capsys):
    with pytest.raises(SystemExit) as end: plan_main([*words.split(), '--profile', 'smoke'])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err) == (2, '', f'xainb-plan: {says}\n')

def test_near_folder(tmp_path):
    assert refused(tmp_path/'o', '--data', '.').startswith("profile 'smoke' uses the data set decoy_scenes: --data is for the profiles photos, imagenet")
    (tmp_path/'photos').mkdir()
    assert refused(tmp_path/'o', '--profile', 'photos', '--data', tmp_path/'phtos') == f"--data: there is no folder '{tmp_path}/phtos': did you mean '{tmp_path}/photos'?"

@pytest.mark.parametrize('command', ['xainb-sweep', 'xainb-plan'])
@pytest.mark.parametrize('job', jobs)
def test_help(command, job, capsys):
    with pytest.raises(SystemExit) as end: read_options(command, [job, '--help'])
    text = capsys.readouterr().out
    assert end.value.code == 0 and 'examples:' in text and 'exit codes:' in text and text.count(f'  {command} ') >= 3
    options = [l for l in re.sub(r'\n {8,}', ' ', text).splitlines() if l.startswith('  --') and l.split()[0] not in ('--dry-run', '--version', '--help,')]
    assert len(options) > 12 and all('(default: ' in l for l in options), options

def test_version(capsys):
    with pytest.raises(SystemExit) as end: read_options('xainb-sweep', ['--version'])
    assert (end.value.code, capsys.readouterr().out) == (0, f'xainb {xainb.__version__}\n')

def test_dry_run_says_totals_and_time(tmp_path):
    run = call('roar', '--profile', 'smoke', '--dry-run', '--out', tmp_path/'x')
    assert run.returncode == 0 and re.search(r'^6 runs, \d+ units of work, of which 0 are done, [\d,]+ passes, 10 trainings$', run.stdout, re.M), run.stdout
    assert f"Results: {tmp_path/'x'} (a new folder)" in run.stdout and 'Time: about ' in run.stdout
    assert not set('\r\033') & set(run.stdout + run.stderr)

def test_log_has_no_control_characters(small_sweep):
    log = (small_sweep/'stderr').read_text()
    assert 'starting' in log and '(100%)' in log and not set('\r\033') & set(log)

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

# xainb-report

@pytest.fixture(scope='module')
def report(tmp_path_factory):
    "A function that calls `xainb-report`, by a script like that of the installed command"
    script = tmp_path_factory.mktemp('bin')/'xainb-report'
    script.write_text('from xainb.reports.compare import main\nmain()\n')
    return lambda *args: children.call(script, *args)

def test_sweeps_on_one_leaderboard(report, small_sweep, tmp_path):
    mine = shutil.copytree(small_sweep, tmp_path/'mine')
    run = report('--merge', small_sweep, mine, '--out', tmp_path/'board.html')
    assert run.returncode == 0 and 'criteria, from 2 sweeps.' in run.stdout and f"leaderboard: {tmp_path/'board.html'}" in run.stdout
    assert (tmp_path/'board.html').stat().st_size > 10_000

@pytest.mark.parametrize('words, says', [
    ('', 'give the folder of a sweep, or --merge and the folders of several'),
    ('a --merge b c', 'with --merge, all folders stand after it: write xainb-report --merge a b c'),
    ('--merge no-such-folder', "no rows in 'no-such-folder'"),
    ('no-such-folder', "no sweep in 'no-such-folder': plan.json is missing")])
def test_bad_reports(report, words, says):
    run = report(*words.split())
    assert (run.returncode, run.stdout, run.stderr) == (2, '', f'xainb-report: {says}\n')

def test_help_of_reports(report):
    run = report('--help')
    assert run.returncode == 0 and '--merge' in run.stdout and 'xainb-report --merge sweeps/demo sweeps/mine' in ' '.join(run.stdout.split())
