"The public names, as `from xainb.all import *` gives them: the list is in `xainb/__init__.py`"
import xainb

__all__ = list(xainb.__all__)
globals().update({name: getattr(xainb, name) for name in __all__})
