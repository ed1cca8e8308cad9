"The site: its pages say what the notebooks say, and every link leads somewhere"
import json, re, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
import pytest, yaml
import browser, children
from conftest import made_once

repo = Path(__file__).parent.parent
notebooks = sorted(p for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))
names = [p.relative_to(repo/'nbs').with_suffix('').as_posix() for p in notebooks]
pytestmark = pytest.mark.xdist_group('site') # They share one build

@pytest.fixture(scope='session')
def site(tmp_path_factory):
    "The folder of the pages that docs/preview.py makes; processed notebooks are in the `_proc` of the repository"
    def make(folder):
        run = children.call(repo/'docs'/'preview.py', '--out', folder, '--workers', 1, cwd=repo, MPLBACKEND='agg')
        assert run.returncode == 0, run.stdout + run.stderr
    return made_once(tmp_path_factory, 'site', make)

class Page(HTMLParser):
    "The links, anchors, headings and text of a page"
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.headings, self.text, self.within = [], [], [], [], []
        self.feed(re.sub(r'data:image/png;base64,[^"]+', 'data:image/png', path.read_text(encoding='utf-8')))

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ('href', 'src'): self.links.append(value)
            if key in ('id', 'name') and tag != 'meta': self.anchors.append(value)
        if tag not in ('img', 'br', 'hr', 'meta', 'link', 'input', 'wbr', 'col'): self.within.append(tag)
        if tag in ('h1', 'h2', 'h3', 'h4', 'h5', 'h6'): self.headings.append('')

    def handle_endtag(self, tag):
        if tag in self.within:
            while self.within.pop() != tag: pass

    def handle_data(self, text):
        if not set(self.within).isdisjoint({'h1', 'h2', 'h3', 'h4', 'h5', 'h6'}): self.headings[-1] += text
        if set(self.within).isdisjoint({'pre', 'code', 'style', 'script'}): self.text.append(text)

@pytest.fixture(scope='session')
def pages(site): return {p.relative_to(site).as_posix(): Page(p) for p in sorted(site.rglob('*.html'))}

def markdown(cells): return [''.join(c['source']) for c in cells if c['cell_type'] == 'markdown']

def plain(text):
    "Markdown without links, some of which processing adds or removes"
    return re.sub(r'\s+', ' ', re.sub(r'\[([^\[\]\n]*)\]\([^)]*\)', r'\1', text))

def letters(text): return re.sub(r'\W+', '', re.sub(r'\$[^$]*\$|\]\([^)]*\)', '', text))

def test_links_between_notebooks_name_notebooks():
    "JupyterLab opens `core.ipynb`, and `core.html` is there on the site alone, for which `core.ipynb` is converted"
    for page in notebooks:
        for cell in json.loads(page.read_text(encoding='utf-8'))['cells']:
            text = ''.join(cell['source'])
            found = re.findall(r'\]\((?!\w+:)[^)\s]+\.html\b[^)]*\)|href=["\']?(?!\w+:)[^"\'\s>]+\.html\b', text)
            assert not found, f'{page.relative_to(repo)}: {found} should end in .ipynb'

def test_each_notebook_has_a_page(pages): assert {f'{n}.html' for n in names} == set(pages)

def broken_links(pages, folder):
    "Links to files or anchors that are not there, and addresses that are none; nothing is fetched"
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link or '')
            if parts.scheme in ('http', 'https'):
                if not re.fullmatch(r'[\w-]+(\.[\w-]+)+(:\d+)?', parts.netloc): yield f'{name}: {link} names no host'
            elif parts.scheme == 'data': continue
            elif parts.scheme or parts.netloc or not link or link.startswith('/'): yield f'{name}: {link!r} leads out of the site'
            else:
                file = (folder/name).parent/unquote(parts.path) if parts.path else folder/name
                target = pages.get(file.resolve().relative_to(folder.resolve()).as_posix()) if file.resolve().is_relative_to(folder.resolve()) else None
                if not file.is_file(): yield f'{name}: {link} does not exist'
                elif parts.fragment and (target is None or unquote(parts.fragment) not in target.anchors): yield f'{name}: {link} is no anchor of that page'

def test_no_link_is_broken(pages, site):
    found = list(broken_links(pages, site))
    assert not found, '\n'.join(found)
    assert sum(len(p.links) for p in pages.values()) > 50*len(pages)

def test_broken_links_are_found(tmp_path):
    (tmp_path/'b.html').write_text('<h2 id="here">x</h2>')
    links = ['b.html', 'b.html#here', 'b.html#there', 'c.html', '#nowhere', '/b.html', 'https://', 'https://pytorch.org', '../x.html', 'mailto:x', 'core.ipynb']
    (tmp_path/'a.html').write_text(''.join(f'<a href="{l}">x</a>' for l in links) + '<img src="images/none.png">')
    found = list(broken_links({n: Page(tmp_path/n) for n in ('a.html', 'b.html')}, tmp_path))
    assert [f.split()[1].strip("'") for f in found] == ['b.html#there', 'c.html', '#nowhere', '/b.html', 'https://', '../x.html', 'mailto:x', 'core.ipynb', 'images/none.png']

def test_anchors_are_unique(pages):
    "Except those of styled tables, T_…, which pandas makes and nothing links to"
    for name, page in pages.items():
        anchors = [a for a in page.anchors if not a.startswith('T_')]
        assert len(anchors) == len(set(anchors)), name

@pytest.mark.parametrize('name', names)
def test_page_keeps_headings_and_text(name, pages):
    source = markdown(json.loads((repo/'nbs'/f'{name}.ipynb').read_text(encoding='utf-8'))['cells'])
    processed = json.loads((repo/'_proc'/f'{name}.ipynb').read_text(encoding='utf-8'))['cells']
    front = yaml.safe_load(''.join(processed[0]['source']).strip().strip('-'))
    title, promise = re.match(r'# (.+)\n?\s*(?:> (.+))?', source[0]).groups()
    assert front['title'] == title.strip() and front.get('description', '') == (promise or '').strip()
    kept = plain('\n'.join(markdown(processed)))
    lines = '\n'.join(source).splitlines()
    lost = [line for line in lines if plain(line).strip() not in kept and line.strip() not in (f'# {title}'.strip(), f'> {promise}'.strip())]
    assert not lost, f'{name} loses {lost}'
    shown, fenced = [letters(h) for h in pages[f'{name}.html'].headings], False
    for line in lines:
        if line.startswith('```'): fenced = not fenced
        if line.startswith('#') and not fenced: assert letters(line) in shown, f'{name} has no heading {line}'

def test_text_has_no_markup_left(pages):
    for name, page in pages.items():
        text = ' '.join(page.text)
        found = re.findall(r'.{0,30}(?:\$\$|\\[a-zA-Z]{2,}|\]\(|:::|#\||(?<!\w)\*\*\w|^```).{0,30}', text)
        assert not found, f'{name}: {found}'

@pytest.fixture
def processing(monkeypatch):
    monkeypatch.syspath_prepend(str(repo/'docs'))
    monkeypatch.chdir(repo)
    import processing
    return processing

@pytest.mark.parametrize('text,expected', [
    ('`features`, `facts` and `main`', '`features`, `facts` and `main`'), ('the columns `metric` and `dataset`', None),
    ('`gradcam`', '[`gradcam`](../explainers/cam.ipynb#gradcam)'), ('`list_models()`', '[`list_models()`](zoo.ipynb#list_models)'),
    ('`plan`, or `plan()`', '`plan`, or [`plan()`](../sweeps/plan.ipynb#plan)'), ('[`gradcam`](x.ipynb) and ``gradcam``', None), ('## About `gradcam`', None),
    ('```\n`gradcam`\n```\n`tile_scores`', '```\n`gradcam`\n```\n[`tile_scores`](../metrics/tiles.ipynb#tile_scores)'), ('`torch.gradient` and `x.shape`', None)])
def test_only_names_of_functions_are_linked(text, expected, processing):
    assert processing.linked(text, Path('models/nets.ipynb')) == (expected or text)

def test_files_of_the_repository_are_linked_where_it_has_an_address(processing, monkeypatch):
    text, page = 'See [how](../../CONTRIBUTING.md), [core](../core.ipynb) and ![a](../images/a.png)', Path('tutorials/cite.ipynb')
    monkeypatch.setattr(processing, 'repository', lambda: '')
    assert processing.linked(text, page) == text.replace('[how](../../CONTRIBUTING.md)', 'how')
    monkeypatch.setattr(processing, 'repository', lambda: 'https://example.org/x')
    assert processing.linked(text, page) == text.replace('../../CONTRIBUTING.md', 'https://example.org/x/blob/main/CONTRIBUTING.md')

def test_source_is_linked_where_a_repository_is_named(processing, monkeypatch):
    text = '[source](/blob/main/xainb/core.py#L1){target="_blank" style="float:right"}\n\n### x'
    monkeypatch.setattr(processing, 'repository', lambda: '')
    assert processing.without_dead_source(text) == '### x'
    monkeypatch.setattr(processing, 'repository', lambda: 'https://example.org/xainb')
    assert processing.without_dead_source(text) == text

def test_signatures_are_as_written(processing):
    shown = 'def f(\n    target:NoneType=None, n:int=3\n)->__main__.Learned:'
    assert processing.as_written(shown) == 'def f(\n    target=None, n:int=3\n)->Learned:'

def test_pages_link_no_source_that_is_nowhere(pages):
    from nbdev.config import get_config
    linked = [l for p in pages.values() for l in p.links if '/blob/' in (l or '') and l.endswith('.py')]
    assert get_config(repo).git_url or not linked

def listed(entries):
    for e in entries:
        if isinstance(e, str): yield e
        else: yield from listed(e['contents'])

def test_sidebar_lists_each_page_once_and_nothing_else():
    "Templates are pages too, and papermill runs them; who reads about sweeps finds them by links"
    sidebar = list(listed(yaml.safe_load((repo/'nbs'/'sidebar.yml').read_text())['website']['sidebar']['contents']))
    assert sorted(sidebar) == sorted(f'{n}.ipynb' for n in names if not n.startswith('templates/'))

@pytest.mark.slow
@pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())
def test_pages_fit_a_phone_and_need_no_network(pages, site):
    from playwright.sync_api import sync_playwright
    problems = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.browser_path(), args=['--no-sandbox', '--disable-gpu'])
        tab = chromium.new_page(viewport=dict(width=390, height=800))
        tab.on('request', lambda r: r.url.startswith(('file:', 'data:')) or problems.append(r.url))
        tab.on('console', lambda m: m.type == 'error' and problems.append(f'{tab.url}: {m.text}'))
        for name in pages:
            tab.goto((site/name).as_uri())
            width = tab.evaluate('document.documentElement.scrollWidth')
            if width > 390: problems.append(f'{name} is {width} pixels wide')
        chromium.close()
    assert not problems, problems

def test_templates_are_linked(pages):
    links = {l.rpartition('templates/')[2] for p in pages.values() for l in p.links if 'templates/' in (l or '')}
    assert {f'{n.partition("/")[2]}.html' for n in names if n.startswith('templates/')} <= links
