"The repository and the wheel: what is exported, clean, documented and packed."
import os, re, shutil, subprocess, sys, zipfile
from configparser import ConfigParser
from pathlib import Path
import pytest
import readme

repo = Path(__file__).parent.parent
binary = Path(sys.executable).parent

def run(*args, cwd, **kw):
    done = subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True, **kw)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout

def sources(folder): return {p.relative_to(folder): p.read_bytes() for d, e in (('xainb', '*.py'), ('nbs', '*.ipynb')) for p in (folder/d).rglob(e) if '_proc' not in p.parts}

@pytest.fixture(scope='session')
def copy(tmp_path_factory):
    "A copy that the tests may change"
    skip = shutil.ignore_patterns('.git', '.venv', 'sweeps.*', '__pycache__', '*.egg-info', 'build', 'dist', '_proc', '_docs', '_preview')
    out = shutil.copytree(repo, tmp_path_factory.mktemp('copy')/'xainb', ignore=skip, symlinks=True)
    return out

def test_export_leaves_no_difference(copy):
    before = sources(copy)
    run(binary/'nbdev-export', cwd=copy)
    assert [str(p) for p, b in sources(copy).items() if before.get(p) != b] == []

def test_clean_leaves_no_difference(copy):
    before = sources(copy)
    run(binary/'nbdev-clean', cwd=copy)
    assert [str(p) for p, b in sources(copy).items() if before.get(p) != b] == []

def test_readme_agrees_with_the_index(): assert (repo/'README.md').read_text() == readme.render()

def test_version_has_one_source():
    import xainb
    settings = ConfigParser(delimiters=['='], interpolation=None); settings.read(repo/'settings.ini')
    assert xainb.__version__ == settings['DEFAULT']['version']

def test_wheel_holds_and_imports_everything(copy, tmp_path):
    run(sys.executable, '-m', 'build', '--wheel', '--no-isolation', '--outdir', tmp_path, '.', cwd=copy)
    wheel, = tmp_path.glob('*.whl')
    names = zipfile.ZipFile(wheel).namelist()
    modules = {p.relative_to(repo).as_posix() for p in (repo/'xainb').rglob('*') if p.suffix in ('.py', '.safetensors', '.json', '.csv')}
    assert modules <= set(names)
    assert {f'xainb/templates/{n}.ipynb' for n in ('evaluate', 'report', 'roar', 'roar_report', 'trend', 'trend_report')} <= set(names)
    zipfile.ZipFile(wheel).extractall(tmp_path/'site')
    out = run(sys.executable, '-c', 'import xainb.all as x; from xainb.sweeps.run import template; print(x.__file__, template("evaluate"), len(x.list_models("demo/*")))', cwd=tmp_path,
              env=os.environ | dict(PYTHONPATH=str(tmp_path/'site')))
    assert out.count(str(tmp_path/'site')) == 2 and out.split()[-1] == '12'

def test_pages_say_what_they_are():
    import json
    for page in (repo/'nbs').rglob('*.ipynb'):
        if any(s[0] in '._' for s in page.relative_to(repo).parts) or page.stem == 'index': continue
        first = next(''.join(c['source']) for c in json.loads(page.read_text())['cells'] if c['cell_type'] == 'markdown')
        title = first.splitlines()[0]
        assert title.startswith('# ') and len(title.split()) >= 3, f'{page}: {title}'
        if page.parent.name != 'templates': assert any(line.startswith('> ') for line in first.splitlines()), f'{page} promises nothing below its title'

def test_saved_outputs_hold_no_path_of_a_machine():
    "A warning names the file of the package that issued it; an output is the same on every machine"
    import json
    for page in (repo/'nbs').rglob('*.ipynb'):
        if any(s[0] in '._' for s in page.relative_to(repo).parts): continue
        for cell in json.loads(page.read_text())['cells']:
            for o in cell.get('outputs', []):
                text = ''.join(o.get('text', '')) + ''.join(o.get('data', {}).get('text/plain', ''))
                assert not re.search(r'\.py:\d+: |site-packages|/tmp/', text), f'{page.name}: {text[:200]}'

def _pins(name): return re.findall(r'^([\w.-]+==[^\s;]+(?: ; [^\\\n]+?)?)\s*\\?$', (repo/name).read_text(), re.M)

def test_each_version_has_checksums():
    assert sorted(_pins('constraints.txt')) == sorted(_pins('constraints-hashed.txt'))
    entries = re.split(r'\n(?=[\w.-]+==)', (repo/'constraints-hashed.txt').read_text())[1:]
    assert len(entries) == len(_pins('constraints.txt')) and all('--hash=sha256:' in e for e in entries)

def test_the_build_is_pinned_to_the_tested_setuptools():
    pinned = re.search(r'^requires = \["(setuptools==[^"]+)"\]$', (repo/'pyproject.toml').read_text(), re.M)
    assert pinned and pinned[1] in _pins('constraints.txt')

def test_no_job_that_runs_code_may_deploy():
    import yaml
    for file in (repo/'.github'/'workflows').glob('*.yml'):
        workflow = yaml.safe_load(file.read_text())
        assert workflow['permissions'] == dict(contents='read'), file
        for name, job in workflow['jobs'].items():
            assert 'write' not in job.get('permissions', {}).values() or not any('run' in step for step in job['steps']), (file, name)
