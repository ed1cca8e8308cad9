"""The stub files that tell editors and type checkers where each public name comes from, since `import xainb` imports a module only when one of
its names is used. `python tests/stubs.py` writes them; a test checks that they agree with the list of public names."""
from pathlib import Path
import xainb

repo = Path(__file__).parent.parent

def render(everything:bool):
    "The text of `xainb/__init__.pyi`, or of `xainb/all.pyi`"
    lines = ['# Made from the list of public names by tests/stubs.py']
    for module, names in ((m, n) for m, n in xainb._public.items() if n):
        lines.append(f"from xainb.{module} import ({', '.join(f'{n} as {n}' for n in names.split())})")
    if not everything: return '\n'.join(lines) + '\n'
    parts = [part for layer in xainb.layers for part in layer]
    lines += [f"from xainb import {', '.join(f'{p} as {p}' for p in parts)}", '', '__version__: str', 'layers: tuple[tuple[str, ...], ...]']
    return '\n'.join(lines) + '\n'

stubs = {repo/'xainb'/'__init__.pyi': True, repo/'xainb'/'all.pyi': False}

if __name__ == '__main__':
    for file, everything in stubs.items(): file.write_text(render(everything))
