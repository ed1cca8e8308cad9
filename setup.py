"""Package facts live in settings.ini; the papermill templates travel inside the wheel."""
from configparser import ConfigParser
from pathlib import Path
import shutil
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
facts = ConfigParser(delimiters=['='])
facts.read(here/'settings.ini', encoding='utf-8')
facts = facts['DEFAULT']

class WithTemplates(build_py):
    def run(self):
        super().run()
        if self.editable_mode: return
        target = Path(self.build_lib)/'xainb'/'templates'
        target.mkdir(parents=True, exist_ok=True)
        for notebook in sorted((here/'nbs'/'templates').glob('*.ipynb')): shutil.copy(notebook, target)

setup(version=facts['version'], description=facts['description'], keywords=facts['keywords'].split(), license=facts['license'],
      author=facts['author'], python_requires=f">={facts['min_python']}",
      long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
      install_requires=facts['requirements'].split(), extras_require={k.removesuffix('_requirements'): v.split() for k, v in facts.items() if k.endswith('_requirements')},
      packages=find_packages(include=['xainb', 'xainb.*']), package_data={'xainb': ['py.typed', '*.pyi', 'weights/*', 'published/*']},
      entry_points=dict(console_scripts=facts['console_scripts'].split(), nbdev=['xainb=xainb._modidx:d']), cmdclass=dict(build_py=WithTemplates))
