"README.md is the notebook nbs/index.ipynb in Markdown. `python tests/readme.py` writes it; a test checks that the two agree."
import json, re, textwrap
from pathlib import Path

repo = Path(__file__).parent.parent

def _cell(cell):
    source = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown': return [_linked(source)]
    if source.startswith('#| hide'): return []
    code = [] if source.startswith('#| echo: false') else [f'```python\n{source}\n```']
    return code + [text for o in cell['outputs'] if (text := _output(o))]

def _output(output):
    "One output as Markdown, with lines that fit; a table that was made as Markdown stays what it is"
    data = output.get('data', {})
    if 'text/markdown' in data: return _linked(''.join(data['text/markdown']))
    text = ''.join(output.get('text') or data.get('text/plain', '')).rstrip()
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, 110, subsequent_indent='  ') or ['']]
    return '\n'.join(['```', *lines, '```']) if text else ''

def _linked(markdown):
    "Links of the notebook, which is in nbs/, as links from the folder above"
    return re.sub(r'\]\((?=[\w/]+\.ipynb|images/)', '](nbs/', markdown).replace('](../', '](')

def render():
    cells = json.loads((repo/'nbs'/'index.ipynb').read_text())['cells']
    note = '<!-- Made from nbs/index.ipynb by tests/readme.py; edit the notebook -->'
    return '\n\n'.join([note] + [part for c in cells for part in _cell(c)]) + '\n'

if __name__ == '__main__': (repo/'README.md').write_text(render())
