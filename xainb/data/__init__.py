"Names of version 0.1, when `xainb.data` was a module: see `xainb/_deprecated.py`"
from xainb._deprecated import names_of

__getattr__ = names_of('data')
