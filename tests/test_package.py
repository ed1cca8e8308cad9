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

@pytest.fixture(scope='session')
def built(copy, tmp_path_factory):
    "The source distribution and the wheel that is built from it, as a release builds them"
    out = tmp_path_factory.mktemp('dist')
    said = run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', out, '.', cwd=copy, env={k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'})
    (out/'said').write_text(said)
    return out

def test_build_warns_of_nothing(built): assert [l for l in (built/'said').read_text().splitlines() if 'warning' in l.lower()] == []

def test_wheel_holds_and_imports_everything(built, tmp_path):
    wheel, = built.glob('*.whl')
    names = zipfile.ZipFile(wheel).namelist()
    modules = {p.relative_to(repo).as_posix() for p in (repo/'xainb').rglob('*') if p.suffix in ('.py', '.pyi', '.typed', '.safetensors', '.json', '.csv')}
    assert modules | {'xainb/py.typed'} <= set(names)
    assert {n.partition('/')[0] for n in names} == {'xainb', f'xainb-{wheel.name.split("-")[1]}.dist-info'}
    assert {f'xainb/templates/{n}.ipynb' for n in ('evaluate', 'report', 'roar', 'roar_report', 'trend', 'trend_report')} <= set(names)
    zipfile.ZipFile(wheel).extractall(tmp_path/'site')
    out = run(sys.executable, '-c', 'import xainb.all as x; from xainb.sweeps.run import template; print(x.__file__, template("evaluate"), len(x.list_models("demo/*")))', cwd=tmp_path,
              env=os.environ | dict(PYTHONPATH=str(tmp_path/'site')))
    assert out.count(str(tmp_path/'site')) == 2 and out.split()[-1] == '12'

@pytest.mark.slow
def test_wheel_in_an_empty_environment(built):
    wheel, = built.glob('*.whl')
    print(run(sys.executable, repo/'tests'/'check_wheel.py', wheel, '--constraints', repo/'constraints.txt', '--uv', shutil.which('uv', path=binary), cwd=built))

def test_citation_names_the_version_and_the_five_papers():
    import yaml
    cited = yaml.safe_load((repo/'CITATION.cff').read_text())
    settings = ConfigParser(delimiters=['='], interpolation=None); settings.read(repo/'settings.ini')
    assert cited['version'] == settings['DEFAULT']['version'] and cited['authors'] == [dict(name=settings['DEFAULT']['author'])]
    assert {r['url'][-10:] for r in cited['references']} == {'2205.13042', '2203.02928', '1806.10758', '2309.05679', '2103.11257'}

def test_the_paper_cites_what_its_bibliography_holds():
    keys = set(re.findall(r'^@\w+\{(\w+),', (repo/'paper'/'paper.bib').read_text(), re.M))
    assert set(re.findall(r'\[@(\w+)\]', (repo/'paper'/'paper.md').read_text())) == keys

def test_actions_are_pinned_and_only_a_tag_publishes():
    import yaml
    for file in (repo/'.github'/'workflows').glob('*.yml'):
        used = re.findall(r'uses: (\S+)', file.read_text())
        assert used and all(re.fullmatch(r'[\w./-]+@[0-9a-f]{40}', u) for u in used), (file, used)
    publish = yaml.safe_load((repo/'.github'/'workflows'/'release.yml').read_text())['jobs']['publish']
    assert publish['needs'] == 'build' and "ref_type == 'tag'" in publish['if'] and publish['permissions']['id-token'] == 'write'

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
