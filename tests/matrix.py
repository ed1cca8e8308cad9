"""Does the suite pass on other processors, with other numbers of threads and on other versions of Python?

    python tests/matrix.py                  # each value of each axis at least once, in as few runs as that takes
    python tests/matrix.py --full           # every combination
    python tests/matrix.py -k gradcam       # what it does not know goes to pytest
    python tests/matrix.py --pythons 3.13 --processors native,SSE41

A processor is imitated by forbidding PyTorch the instructions that the older one lacks. Environments for other Pythons are made in .matrix/ with the versions of constraints.txt.
"""
import argparse, itertools, os, shutil, subprocess, sys, tempfile, xml.etree.ElementTree as xml
from collections import namedtuple
from pathlib import Path

repo = Path(__file__).parent.parent
made_from = [repo/n for n in ('constraints.txt', 'settings.ini', 'setup.py', 'pyproject.toml')]
this = f'{sys.version_info.major}.{sys.version_info.minor}'
processors = dict(native={}, AVX2=dict(ONEDNN_MAX_CPU_ISA='AVX2', ATEN_CPU_CAPABILITY='avx2'), SSE41=dict(ONEDNN_MAX_CPU_ISA='SSE41', ATEN_CPU_CAPABILITY='default'))
Setting = namedtuple('Setting', 'python processor threads')

def covering(*axes):
    "As many combinations as the longest axis has values, so that every value of every axis is in one of them"
    return list(zip(*[[axis[i % len(axis)] for i in range(max(map(len, axes)))] for axis in axes]))

def answers(python, version):
    "Is that an interpreter of this version? The shims of pyenv often are none."
    if not python: return False
    asked = subprocess.run([python, '-c', 'import sys; print("{}.{}".format(*sys.version_info))'], capture_output=True, text=True)
    return asked.stdout.strip() == version

def interpreter(version):
    "A Python of that version on the path or in pyenv's folder"
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home()/'.pyenv'))/'versions'
    found = next((p for p in [shutil.which(f'python{version}'), *sorted(pyenv.glob(f'{version}.*/bin/python'))] if answers(p, version)), None)
    if not found: sys.exit(f'no Python {version} here: install it, or leave it out with --pythons')
    return found

def environment(version):
    "The interpreter of an environment with the tested versions; this one for the version that runs the script"
    if version == this: return sys.executable
    folder, uv = repo/'.matrix'/version, Path(sys.executable).with_name('uv')
    python, ready = folder/'bin'/'python', folder/'.installed'
    if ready.exists() and ready.stat().st_mtime > max(f.stat().st_mtime for f in made_from): return python
    print(f'making {folder.relative_to(repo)}', flush=True)
    subprocess.run([uv, 'venv', '-q', '--clear', '--python', interpreter(version), folder], check=True)
    subprocess.run([uv, 'pip', 'install', '-q', '--compile-bytecode', '--python', python, '-c', 'constraints.txt', '-e', '.[dev,oracles]'], cwd=repo, check=True)
    ready.touch()
    return python

def found_in(report):
    "The names of failed tests, and how many passed and were skipped"
    failed, counts = [], dict(passed=0, skipped=0)
    for case in xml.parse(report).iter('testcase'):
        marks = {child.tag for child in case}
        if marks & {'failure', 'error'}: failed.append(f"{case.get('classname').removeprefix('tests.')}::{case.get('name')}")
        else: counts['skipped' if 'skipped' in marks else 'passed'] += 1
    return failed, counts

def run(python, setting, options):
    "One line of the table, and the names of failed tests"
    env = os.environ | processors[setting.processor] | {n: str(setting.threads) for n in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
    said = subprocess.run([python, '-c', 'import torch; print(torch.backends.cpu.get_cpu_capability())'], env=env, capture_output=True, text=True).stdout.strip()
    workers = ['-n', str(max(1, 2//setting.threads)), '--dist', 'loadgroup', '--no-loadscope-reorder']
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder)/'report.xml'
        subprocess.run([python, '-m', 'pytest', *workers, '--junitxml', report, *options], cwd=repo, env=env)
        failed, counts = found_in(report) if report.exists() else (['pytest ended without a report'], dict(passed=0, skipped=0))
    return dict(setting._asdict(), instructions=said, **counts, failed=len(failed)), failed

def show(lines):
    "The table as text"
    rows = [list(lines[0])] + [[str(v) for v in line.values()] for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows: print('  '.join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--full', action='store_true', help='every combination')
    parser.add_argument('--pythons', default=','.join(dict.fromkeys([this, '3.10', '3.13'])), help='versions, with commas between')
    parser.add_argument('--processors', default=','.join(processors), help=f"some of {', '.join(processors)}")
    parser.add_argument('--threads', default='1,2', help='numbers of threads of each process')
    chosen, options = parser.parse_known_args()
    axes = chosen.pythons.split(','), chosen.processors.split(','), [int(t) for t in chosen.threads.split(',')]
    if unknown := set(axes[1]) - set(processors): parser.error(f"unknown processors {', '.join(sorted(unknown))}")
    return [Setting(*s) for s in (itertools.product if chosen.full else covering)(*axes)], options if '-m' in options else ['-m', 'not slow', *options]

if __name__ == '__main__':
    settings, options = arguments()
    pythons = {version: environment(version) for version in dict.fromkeys(s.python for s in settings)}
    lines, failures = [], []
    for setting in settings:
        print(f'\n== Python {setting.python}, processor {setting.processor}, threads {setting.threads}', flush=True)
        line, failed = run(pythons[setting.python], setting, options)
        lines.append(line); failures.append(failed)
    print(); show(lines)
    for setting, failed in zip(settings, failures):
        for name in failed: print(f"failed with {' '.join(map(str, setting))}: {name}")
    sys.exit(any(failures) or not all(line['passed'] for line in lines))
