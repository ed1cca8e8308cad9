"""The site without Quarto: `python docs/preview.py` processes the notebooks with nbdev and writes their pages to `_preview`.

Links and anchors are those that Quarto makes. Formulas are MathML, so that pages need no script and no network."""
import argparse, html, os, re, shutil, sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent)) # `processing` is imported by name, here and in the processes that nbdev starts
repo = Path(__file__).parent.parent
os.environ['PYTHONPATH'] = os.pathsep.join([str(Path(__file__).parent), str(repo), os.environ.get('PYTHONPATH', '')])

import jinja2, latex2mathml.converter, nbformat, yaml
from markupsafe import Markup
from mistune.plugins.table import render_table
from nbconvert.filters.ansi import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbdev.config import get_config
from nbdev.serve import proc_nbs
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

def process(n_workers):
    "The folder of processed notebooks; those that are up to date stay, unless anything changed that all pages depend on"
    what = [repo/'docs'/'processing.py', repo/'pyproject.toml', repo/'xainb'/'__init__.py', repo/'xainb'/'_modidx.py']
    state, mark = sha256(b''.join(p.read_bytes() for p in what)).hexdigest(), repo/'_proc'/'.state'
    folder = proc_nbs(n_workers=n_workers, force=not mark.exists() or mark.read_text() != state)
    mark.write_text(state)
    return folder

# Markdown

def mathml(formula, display='inline'):
    "A formula as MathML; latex2mathml knows neither `\\arg` nor the fences with `l` and `r`"
    for tex, known in {r'\\arg\b': r'\\operatorname{arg}', r'\\[lr]Vert\b': r'\\|', r'\\[lr]vert\b': '|'}.items(): formula = re.sub(tex, known, formula)
    return latex2mathml.converter.convert(formula, display=display)

def slug(text):
    "The anchor of a heading, made as pandoc makes it"
    text = re.sub(r'[^\w\s.-]', '', html.unescape(re.sub(r'<[^>]+>', '', text)).strip().lower())
    return re.sub(r'^[^a-z]+', '', re.sub(r'\s+', '-', text)) or 'section'

def page_link(url): return url if ':' in url else re.sub(r'\.ipynb(?=#|$)', '.html', url)

class PageRenderer(IPythonRenderer):
    "Markdown to HTML, with MathML, and with the headings of a page gathered in `headings`"
    def __init__(self, headings): super().__init__(escape=False, exclude_anchor_links=True); self.headings = headings
    def block_math(self, body): return f'<div class="math">{mathml(body, "block")}</div>\n'
    def inline_math(self, body): return f'<span class="long">{mathml(body)}</span>' if len(body) > 40 else mathml(body)
    def link(self, text, url, title=None): return super().link(text, page_link(url), title)
    def table(self, text): return f'<div class="wide">{render_table(self, text)}</div>\n'

    def heading(self, text, level, **attrs):
        first = anchor = slug(re.sub(r'<math.*?</math>', '', text))
        taken, n = {h['id'] for h in self.headings}, 0
        while anchor in taken: n += 1; anchor = f'{first}-{n}'
        self.headings.append(dict(id=anchor, level=level, text=Markup(re.sub(r'</?a\b[^>]*>', '', text))))
        return f'<h{level} id="{anchor}">{text} <a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a></h{level}>\n'

def to_html(text, headings): return MarkdownWithMath(renderer=PageRenderer(headings)).render(pandoc_text(text))

def pandoc_text(text):
    "Markdown without what pandoc reads and mistune does not: attributes in braces after links"
    return re.sub(r'(\]\([^()\s]+\))\{[^}]*\}', r'\1', text)

# Cells

def read_options(source):
    "Quarto's options, the lines `#| key: value` that begin a cell, and the code below them"
    return dict(re.findall(r'^#\| *([\w-]+): *(.*)$', source, re.M)), re.sub(r'^#\|.*\n?', '', source, flags=re.M).strip('\n')

def pre(text): return f'<pre>{ansi2html(text)}</pre>'

def output_to_html(output, headings):
    "The richest form of an output that a page without scripts can show"
    if output.output_type == 'stream': return pre(output.text)
    if output.output_type == 'error': return pre('\n'.join(output.traceback))
    data = output.data
    if 'text/html' in data: return data['text/html']
    if 'image/png' in data: return f'<img alt="Figure drawn by the code above" src="data:image/png;base64,{data["image/png"].strip()}">'
    if 'text/markdown' in data: return to_html(data['text/markdown'], headings)
    return pre(data.get('text/plain', ''))

def cell_to_html(cell, headings):
    if cell.cell_type == 'markdown': return f'<div class="text">{to_html(cell.source, headings)}</div>'
    if cell.cell_type == 'raw': return ''
    options, source = read_options(cell.source)
    code = highlight(source, PythonLexer(), HtmlFormatter()) if source and options.get('echo') != 'false' else ''
    if code and 'code-fold' in options: code = f'<details class="source"><summary>{html.escape(options.get("code-summary", "Code").strip(chr(34)))}</summary>{code}</details>'
    outputs = [f'<div class="output">{output_to_html(o, headings)}</div>' for o in cell.outputs]
    is_documentation = options.get('output') == 'asis'
    return f'<div class="{"documentation" if is_documentation else "code"}">{code}{"".join(outputs)}</div>'

def read_page(path):
    "The front matter of a processed notebook, its cells as HTML, and its headings"
    notebook = nbformat.read(path, as_version=4)
    front = yaml.safe_load(notebook.cells.pop(0).source.strip().strip('-')) if notebook.cells[0].cell_type == 'raw' else dict(title=path.stem)
    headings = []
    body = '\n'.join(cell_to_html(cell, headings) for cell in notebook.cells)
    return dict(front, body=Markup(body), headings=[h for h in headings if h['level'] in (2, 3)])

# Pages

def as_links(contents, titles):
    "The sidebar with the address and title of each page"
    for entry in contents:
        if isinstance(entry, str): yield dict(href=page_link(entry), title=titles[entry])
        else:
            inner = list(as_links(entry['contents'], titles))
            yield dict(section=entry['section'], contents=inner, pages=[h['href'] for h in in_order(inner)])

def in_order(entries):
    for e in entries: yield from in_order(e['contents']) if 'section' in e else [e]

def short_titles(titles):
    "What the sidebar says: the part of each title before its colon, or the part behind it if other titles begin alike"
    parts = {name: re.sub('`', '', title).partition(': ') for name, title in titles.items()}
    first = Counter(begin for begin, _, _ in parts.values())
    return {name: begin if first[begin] == 1 or not end else end[0].upper() + end[1:] for name, (begin, _, end) in parts.items()}

def inline(text): return Markup(re.sub(r'^<p>|</p>\s*$', '', to_html(text, [])))

def highlighting():
    "Colors of code, in light and in dark mode"
    def style(name): return HtmlFormatter(style=name).get_style_defs('.highlight')
    return f'{style("default")}\n@media (prefers-color-scheme: dark) {{\n{style("github-dark")}\n}}\n'

def build(out, n_workers=2):
    "Write all pages to the folder `out`"
    processed = process(n_workers)
    pages = {p.relative_to(processed).as_posix(): read_page(p) for p in sorted(processed.rglob('*.ipynb'))}
    site = yaml.safe_load((repo/'nbs'/'_quarto.yml').read_text())['website']
    contents = yaml.safe_load((repo/'nbs'/'sidebar.yml').read_text())['website']['sidebar']['contents']
    sidebar = list(as_links(contents, short_titles({name: page['title'] for name, page in pages.items()})))
    order = list(in_order(sidebar))
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(repo/'docs'), autoescape=True)
    template, git_url = environment.get_template('page.html.j2'), get_config().git_url
    shutil.rmtree(out, ignore_errors=True)
    for name, page in pages.items():
        address = page_link(name)
        at = next((i for i, e in enumerate(order) if e['href'] == address), None)
        text = template.render(
            page, site=site['title'], promise=site['description'], title_html=inline(page['title']), description_html=inline(page.get('description', '')),
            description=page.get('description', ''), root='../'*name.count('/'), page=address, sidebar=sidebar, notebook=f'nbs/{name}', repository=git_url and f'{git_url}/blob/main',
            before=order[at - 1] if at else None, after=order[at + 1] if at is not None and at + 1 < len(order) else None)
        (out/address).parent.mkdir(parents=True, exist_ok=True)
        (out/address).write_text(text, encoding='utf-8')
    shutil.copytree(repo/'nbs'/'images', out/'images')
    (out/'style.css').write_text((repo/'docs'/'style.css').read_text() + highlighting())
    return len(pages)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=repo/'_preview', help='folder of the pages (default: _preview)')
    parser.add_argument('--workers', type=int, default=2, help='processes that run the cells which pages are made of (default: 2)')
    args = parser.parse_args()
    os.chdir(repo)
    print(f'{build(args.out, args.workers)} pages: open {args.out/"index.html"}')
