"""Saved outputs of notebooks, held against fresh ones: the words must be the same, and numbers equal to a tolerance.

`python tests/outputs.py NOTEBOOK FRESH` runs a notebook like `nbdev-test` and writes it with fresh outputs to the file FRESH.
A cell with the tag `measured` in its metadata has numbers that depend on the processor or were measured elsewhere; they are not compared.
"""
import html, math, re, sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

number = re.compile(r'(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])')
relative, absolute = .05, .011 # Of numbers as they are printed: the last of two digits may differ

def _as_tested():
    "Whether this is the Python, with the versions of constraints.txt, that made the saved outputs: others print some values in another way"
    pins = re.findall(r'^([\w.-]+)==([^\s;]+)', (Path(__file__).parents[1]/'constraints.txt').read_text(), re.M)
    names = 'numpy', 'pandas', 'torch', 'torchvision', 'captum', 'timm', 'fastai', 'shap', 'zennit', 'quantus'
    try: found = {name: version(name).partition('+')[0] for name in names}
    except PackageNotFoundError: return False
    return sys.version_info[:2] == (3, 11) and all((name, v) in pins for name, v in found.items())

comparable = _as_tested()

def _plain(markup):
    "The text of HTML, without pictures and tags"
    return html.unescape(re.sub(r'<(style|script|svg)\b.*?</\1>|<[^>]+>', ' ', markup, flags=re.S))

def texts_of(output):
    "The texts that a reader sees in one output"
    if output.get('name') == 'stderr': return []
    data = output.get('data', {})
    found = [output['text']] if 'text' in output else []
    shown = next((k for k in ('text/html', 'text/markdown', 'text/plain') if k in data), None)
    if shown and not any(k.startswith('image/') for k in data): found.append(data[shown])
    joined = [''.join(t) for t in found]
    return [_plain(t) if '<' in t else t for t in joined]

def text_of(cell):
    "All texts of a cell's outputs, in one"
    return '\n'.join(t for o in cell.get('outputs', []) for t in texts_of(o))

def _close(a, b): return math.isclose(float(a), float(b), rel_tol=relative, abs_tol=absolute)

def difference(saved, fresh):
    "What differs between two texts, in one sentence; empty when nothing does"
    words = [' '.join(number.sub(' # ', re.sub(r'0x[0-9a-f]{6,}', '0x', t)).split()) for t in (saved, fresh)]
    if words[0] != words[1]:
        at = next((i for i, (a, b) in enumerate(zip(*words)) if a != b), min(map(len, words)))
        return f"saved '…{words[0][max(0, at - 30):at + 50]}', fresh '…{words[1][max(0, at - 30):at + 50]}'"
    apart = [(a, b) for a, b in zip(number.findall(saved), number.findall(fresh)) if not _close(a, b)]
    return f"saved {apart[0][0]}, fresh {apart[0][1]}" + (f", and {len(apart) - 1} more numbers" if len(apart) > 1 else '') if apart else ''

def measured(cell): return 'measured' in cell.get('metadata', {}).get('tags', [])

def stale_cells(saved, fresh):
    "(cell id, difference) of the cells of a notebook whose saved texts are not the fresh ones"
    now = {c['id']: c for c in fresh['cells']}
    code = [c for c in saved['cells'] if c['cell_type'] == 'code' and c['id'] in now and not measured(c)]
    return [(c['id'], d) for c in code if (d := difference(text_of(c), text_of(now[c['id']])))]

def run(notebook, fresh):
    "Run a notebook like `nbdev-test`, without the cells that it leaves out, and write it with its outputs; whether it passed"
    import nbdev.test
    from nbdev.config import get_config
    write = nbdev.test.write_nb
    nbdev.test.write_nb = lambda nb, path: write(nb, Path(fresh))
    config = get_config(Path(notebook).resolve())
    passed, _ = nbdev.test.test_nb(Path(notebook).absolute(), skip_flags=config.tst_flags.split(), basepath=config.config_path, save=True,
                                   cell_timeout=int(config.cell_timeout))
    return passed

if __name__ == '__main__': sys.exit(0 if run(*sys.argv[1:3]) else 1)
