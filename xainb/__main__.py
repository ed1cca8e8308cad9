"`python -m xainb` lists the commands, and `python -m xainb sweep` is `xainb-sweep`."
from xainb.sweeps.cli import run_command

if __name__ == '__main__': run_command()
