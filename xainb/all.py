"The public names, as `from xainb.all import *` gives them: the list is in `xainb/__init__.py`"
import xainb

__all__ = list(xainb.__all__)
globals().update({name: getattr(xainb, name) for name in __all__})

def __getattr__(name): # from xainb.all import load_model
    from xainb._deprecated import current_value
    return current_value(name)
