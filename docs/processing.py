"""What the pages of this project need beyond nbdev's own processing of notebooks.

`[tool.nbdev]` in pyproject.toml names the processors, so `nbdev-docs` (with Quarto) and docs/preview.py (without) both use them.
"""
import ast, importlib, os, re
from functools import cache
from pathlib import Path
from fastcore.nbio import mk_cell
from nbdev.config import get_config
from nbdev.doclinks import patch_name
from nbdev.process import Processor
import xainb
from xainb._modidx import d as index

class PrepareCells(Processor):
    """Keep what nbdev would drop: the text below a page's title, and the source of exported cells.

    nbdev makes all processors before the first of them runs. The changes are made here and not in `cell`,
    because those of this project run last."""
    def __init__(self, nb):
        super().__init__(nb)
        for cell in nb.cells:
            if cell.cell_type == 'code' and 'export' in cell.directives_: cell.directives_['exports'] = cell.directives_.pop('export')
        opening, rest = split_opening(nb.cells[0])
        if not rest: return
        nb.cells[0].source = opening
        nb.cells.insert(1, mk_cell(rest, 'markdown'))
        nb.cells[1].directives_ = {}

def split_opening(cell):
    "The title and promise (`# ` and the first `> `) of a page's first cell, from which nbdev makes the head of the page, and the rest"
    if cell.cell_type != 'markdown': return '', ''
    found = re.match(r'\s*(# .+\n?(?:\s*> .+\n?)?)', cell.source)
    return (found[1], cell.source[found.end():].strip('\n')) if found else ('', '')

class FoldSource(Processor):
    "Source of exported cells, folded, below what documents the names it defines"
    def begin(self):
        cells, done = list(self.nb.cells), []
        while cells:
            cell = cells.pop(0)
            if is_source(cell):
                while cells and is_doc(cells[0]): done.append(cells.pop(0))
                cell.source = re.sub(r'^#\| code-fold: .*\n#\| code-summary: .*', f'#| code-fold: true\n#| code-summary: "{summary(cell)}"', cell.source)
            done.append(cell)
        self.nb.cells = done

def is_doc(cell): return cell.cell_type == 'code' and re.search(r'^show_doc\(', cell.source, re.M)
def is_source(cell): return cell.cell_type == 'code' and 'exports' in getattr(cell, 'directives_', {})

def summary(cell):
    "What the fold is called: the names that are defined in it, if they are few"
    names, body = [], ast.parse(cell.source).body
    if all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body): return 'Imports of the module'
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): names.append(node.name)
        elif isinstance(node, ast.Assign): names += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return 'Source of ' + ', '.join(names) if 0 < len(names) <= 4 else 'Source'

@cache
def documented():
    "Name -> page and anchor, for all names that have a heading on some page; a name of two pages has neither"
    found = {}
    for module, symbols in index['syms'].items():
        for name in defined_in(module):
            page = symbols[f'{module}.{name}'][0].split('#')[0].replace('.html', '.ipynb')
            found.setdefault(name, []).append((f'{page}#{name.lower()}', module))
    public = xainb._module_of
    return {n: next((p for p, m in pages if m == public.get(n)), pages[0][0]) for n, pages in found.items() if n in public or len(pages) == 1}

def defined_in(module):
    "The names that nbdev documents: top-level functions and classes, and methods that a patch adds"
    file = Path(importlib.util.find_spec(module).origin)
    for node in ast.parse(file.read_text(encoding='utf-8')).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith('_'): continue
        names = patch_name(node)
        for name in names if isinstance(names, list) else [names]:
            if f'{module}.{name}' in index['syms'][module]: yield name

# Public names that are words as well, or parameters, or columns of the results: linked only as calls, `plan()`
words = set('correlation dataset estimate explainer interval logits metric normalized plan shifted sweep texts verdict zoo'.split())

def is_linked(name, is_call):
    "Whether a name in backticks can mean nothing but what this package defines: `tile_scores` can, `features` cannot"
    if name not in documented(): return False
    is_public = name in xainb._module_of and name not in words
    return bool(is_call or is_public or re.search(r'[._]|[A-Z].*[A-Z]', name))

class AddLinks(Processor):
    "Link names of functions and classes to the page that explains them"
    def begin(self): self.page = Path(self.nb.path_).resolve().relative_to(Path(get_config().nbs_path).resolve())

    def cell(self, cell):
        if cell.cell_type == 'markdown': cell.source = linked(cell.source, self.page)
        for output in cell.get('outputs', []):
            text = output.get('data', {}).get('text/markdown')
            if text: output['data']['text/markdown'] = without_dead_source(linked(as_written(''.join(text)), self.page))

def linked(text, page):
    """`text` of the notebook `page` with links; code, headings and what is a link already stay as they are.
    Files outside of `nbs` are no pages, and are linked only where the repository has an address."""
    def link(match):
        name = match[1]
        if not is_linked(name, match[2]): return match[0]
        target, anchor = documented()[name].split('#')
        place = '' if target == page.as_posix() else Path(os.path.relpath(target, page.parent)).as_posix()
        return f'[{match[0]}]({place}#{anchor})'
    def to_repository(match):
        path = Path(os.path.normpath(Path('nbs')/page.parent/match[2])).as_posix()
        if path.startswith('nbs/'): return match[0]
        return f'[{match[1]}]({repository()}/blob/main/{path})' if repository() else match[1]
    lines, fenced = text.split('\n'), False
    for i, line in enumerate(lines):
        if line.lstrip().startswith('```'): fenced = not fenced
        elif not fenced and not re.match(r'#|    ', line): lines[i] = re.sub(r'(?<![\[`])`([A-Za-z][\w.]*)(\(\))?`(?![\]`])', link, re.sub(r'(?<!!)\[([^\]]+)\]\((\.\./[\w./-]+)\)', to_repository, line))
    return '\n'.join(lines)

def as_written(text):
    "A signature without the module in which the page was run, and without the type of `None` where none was declared"
    return text.replace('__main__.', '').replace(':NoneType=None', '=None')

@cache
def repository(): return get_config().git_url

def without_dead_source(text):
    "Without the link to the source, if pyproject.toml names no repository (`Repository` in `[project.urls]`) that has it"
    return text if repository() else re.sub(r'\[source\]\([^)]*\)\{[^}]*\}\n*', '', text)
