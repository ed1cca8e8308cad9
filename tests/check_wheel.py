"""Install a wheel in an empty environment, import all of it, and run the smallest sweep there: `python tests/check_wheel.py dist/xainb-0.2.0-py3-none-any.whl`.

Only the standard library is used here, since this runs before anything is installed."""
import argparse, os, subprocess, sys, tempfile
from pathlib import Path

imports = '''
import importlib, pkgutil, sys, xainb
names = [m.name for m in pkgutil.walk_packages(xainb.__path__, 'xainb.') if not m.name.endswith('__main__')]
for name in names: importlib.import_module(name)
from xainb.all import *
from xainb.sweeps.run import template
for name in xainb.__all__: getattr(xainb, name)
for spec in list_models('demo*/*'): build_model(spec)
for name in ('evaluate', 'report', 'roar', 'roar_report', 'trend', 'trend_report'): template(name)
published = importlib.resources.files('xainb')/'published'
assert any(published.iterdir()) and 'site-packages' in xainb.__file__, xainb.__file__
print(len(names), 'modules', len(list_models('demo*/*')), 'networks', xainb.__version__)
'''

def run(*args, cwd, env):
    done = subprocess.run([str(a) for a in args], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: sys.exit(f"{' '.join(map(str, args))[:200]}\n{done.stdout[-4000:]}")
    return done.stdout

def check(wheel, constraints=None, uv=None):
    "Everything in a folder that holds nothing else, and without the paths of this process"
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'VIRTUAL_ENV', 'XAINB'))} | dict(OMP_NUM_THREADS='1')
        venv = Path(folder)/'venv'
        binary = venv/('Scripts' if os.name == 'nt' else 'bin')
        run(sys.executable, '-m', 'venv', venv, cwd=folder, env=env)
        limits = ['-c', Path(constraints).resolve()] if constraints else []
        if not uv:
            run(binary/'python', '-m', 'pip', 'install', '-q', '--disable-pip-version-check', *limits, 'uv', cwd=folder, env=env)
            uv = binary/'uv'
        run(uv, 'pip', 'install', '-q', '--python', binary/'python', *limits, Path(wheel).resolve(), cwd=folder, env=env)
        print(run(binary/'python', '-W', 'error::SyntaxWarning', '-c', imports, cwd=folder, env=env), end='')
        print(run(binary/'python', '-m', 'xainb', cwd=folder, env=env), end='')
        print(run(binary/'xainb-sweep', '--profile', 'smoke', '--explainers', 'gradient,gradcam', cwd=folder, env=env), end='')
        report = Path(folder)/'sweeps'/'smoke'/'report.html'
        assert report.stat().st_size > 50_000
        left = sorted(p.name for p in Path(folder).iterdir())
        assert left == ['sweeps', 'venv'], left

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('wheel')
    parser.add_argument('--constraints', help='File of versions, such as constraints.txt')
    parser.add_argument('--uv', help='A program uv that is there already')
    check(**vars(parser.parse_args()))
