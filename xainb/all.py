"Every public name: `from xainb.all import *`"
from fastcore.basics import patch
import numpy as np, pandas as pd, torch
from torch import nn, Tensor
from xainb.core import *
from xainb.store import *
from xainb.data import *
from xainb.models import *
from xainb.stats import *
from xainb.viz import *
from xainb.graph import *
from xainb.speed import *
from xainb.explainers.gradient import *
from xainb.explainers.cam import *
from xainb.explainers.rules import *
from xainb.explainers.ensembles import *
from xainb.explainers.perturbation import *
from xainb.explainers.learned_masks import *
from xainb.explainers.controls import *
from xainb.metrics.localization import *
from xainb.metrics.imputation import *
from xainb.metrics.perturbation import *
from xainb.metrics.conventions import *
from xainb.metrics.fidelity import *
from xainb.metrics.sanity import *
from xainb.metrics.complexity import *
from xainb.training import *
from xainb.check import *
from xainb.check_metric import *
from xainb.certify import *
from xainb.sweep import *
from xainb.interpret import *
from xainb.report import *
