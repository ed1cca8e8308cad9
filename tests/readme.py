"README.md is the notebook nbs/index.ipynb in Markdown. `python tests/readme.py` writes it; a test checks that the two agree."
import json, re
from pathlib import Path

repo = Path(__file__).parent.parent

def _cell(cell):
    source = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown':
        return [re.sub(r'\]\((?=[\w/]+\.ipynb|images/)', '](nbs/', source)]
    if source.startswith('#| hide'): return []
    texts = [''.join(o.get('text') or o.get('data', {}).get('text/plain', '')) for o in cell['outputs']]
    return [f'```python\n{source}\n```'] + [f'```\n{t.rstrip()}\n```' for t in texts if t]

def render():
    cells = json.loads((repo/'nbs'/'index.ipynb').read_text())['cells']
    note = '<!-- Made from nbs/index.ipynb by tests/readme.py; edit the notebook -->'
    return '\n\n'.join([note] + [part for c in cells for part in _cell(c)]) + '\n'

if __name__ == '__main__': (repo/'README.md').write_text(render())
