"The site: links between notebooks"
import json, re
from pathlib import Path

repo = Path(__file__).parent.parent
notebooks = sorted(p for p in (repo/'nbs').rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(repo).parts))

def test_links_between_notebooks_name_notebooks():
    "JupyterLab opens `core.ipynb`, and `core.html` is there on the site alone, for which `core.ipynb` is converted"
    for page in notebooks:
        for cell in json.loads(page.read_text(encoding='utf-8'))['cells']:
            text = ''.join(cell['source'])
            found = re.findall(r'\]\((?!\w+:)[^)\s]+\.html\b[^)]*\)|href=["\']?(?!\w+:)[^"\'\s>]+\.html\b', text)
            assert not found, f'{page.relative_to(repo)}: {found} should end in .ipynb'
