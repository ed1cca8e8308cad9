"""Conservation of AttnLRP on timm's architectures: python benchmarks/attn_lrp.py FILE.csv

One image and random weights in double precision: the worst gap of an operation, of a layer and of the total, relative to the score,
and what arrives at the image. Architectures without a rule for one of their operations have the reason instead."""
import sys, warnings
from pathlib import Path
import pandas as pd, timm, torch
from xainb.core import NotApplicable, Refused
from xainb.explainers.attn_lrp import relevance_flow

names = """test_vit test_vit2 test_vit3 test_vit4 test_vit_relpos vit_tiny_patch16_224 deit_tiny_distilled_patch16_224
vit_betwixt_patch16_reg4_gap_256 eva02_tiny_patch14_224 mixer_s32_224 gmlp_ti16_224 resmlp_12_224 xcit_nano_12_p16_224 levit_128s
pvt_v2_b0 test_convnext convnextv2_atto test_coatnet test_maxvit test_mambaout test_nfnet test_efficientnet_gn mobilevit_xxs
mobilevitv2_050 efficientformerv2_s0 cait_xxs24_224 hiera_tiny_224 poolformer_s12 efficientvit_b0 efficientvit_m0 coat_lite_tiny
edgenext_xx_small convit_tiny crossvit_9_240 mvitv2_tiny test_efficientnet_evos davit_tiny swin_tiny_patch4_window7_224
swinv2_tiny_window8_256 beit_base_patch16_224 efficientformer_l1""".split()

def randomized(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=5).eval().double().requires_grad_(False)
    for p in net.parameters(): p += torch.randn_like(p)*(.1 if p.ndim < 2 else .5*p.shape[1:].numel()**-.5)
    return net

def measured(name):
    net = randomized(name)
    x = torch.rand(1, *net.pretrained_cfg['input_size'], generator=torch.Generator().manual_seed(0), dtype=torch.double)
    try: flow = relevance_flow(net, x, torch.tensor([1]))
    except (NotApplicable, Refused) as e: return dict(model=name, refused=str(e))
    score, layers = flow.attrs['score'], flow[flow.is_layer]
    gaps = dict(operation=flow.received - flow.passed - flow.kept, layer=score - layers.received - layers.kept_later)
    gaps = {k: abs(v).max()/abs(score) for k, v in gaps.items()}
    total = abs(score - flow.attrs['attribution'] - flow.kept.sum())/abs(score)
    softmax = flow.kept[flow.kind == 'softmax'].sum()/score
    return dict(model=name, **gaps, total=total, layers=len(layers), image=flow.attrs['attribution']/score, softmax=softmax)

if __name__ == '__main__':
    warnings.simplefilter('ignore')
    path, rows = Path(sys.argv[1]), []
    for name in names:
        rows.append(measured(name))
        pd.DataFrame(rows).to_csv(path, index=False, float_format='%.3g')
