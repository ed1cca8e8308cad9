"""What the attention methods cost next to the bare passes that they need, on timm's ViTs with random weights.

    python benchmarks/attention.py [--quick] [--nets vit_tiny_patch16_224,vit_small_patch16_224] [--images 8] [--rounds 3] [--out benchmarks/attention.csv]

Everything runs in turn in one process, on the same images in one batch. How to read the table: benchmarks/README.md.
"""
import timm, torch
from explainers import Table, circumstances, command, photographs, timed
import numpy as np
import xainb.explainers.attention
from xainb.core import explainer_registry, frozen

names = 'raw_attention', 'attention_rollout', 'attention_x_gradient', 'gradient_rollout', 'chefer_generic', 'chefer_lrp'

def forward(net, x, y):
    with frozen(net), torch.no_grad(): net(x)

def there_and_back(net, x, y):
    with frozen(net), torch.enable_grad():
        z = x.clone().requires_grad_()
        torch.autograd.grad(net(z).gather(1, y[:, None]).sum(), z)

def measure(net_name, n, rounds, device):
    torch.manual_seed(0)
    net, x, y = timm.create_model(net_name).eval().to(device), photographs(n).to(device), torch.arange(n, device=device)
    def explain(name): return lambda: explainer_registry[name](net, x, y, batch_size=n)
    calls = dict(forward=lambda: forward(net, x, y), there_and_back=lambda: there_and_back(net, x, y)) | {name: explain(name) for name in names}
    for f in calls.values(): f()
    seconds, _ = timed(calls, rounds, device)
    for name in names:
        passes = explainer_registry[name].cost()
        bare = seconds['forward'] if passes == 1 else seconds['there_and_back']*passes/2
        over = seconds[name]/bare
        yield dict(explainer=name, images=n, passes=passes, seconds=np.median(seconds[name]), bare_seconds=np.median(bare),
                   times_bare=np.median(over), times_bare_low=over.min(), times_bare_high=over.max())

def main():
    a = command(__doc__, 'one round of two images', nets=('vit_tiny_patch16_224,vit_small_patch16_224', "timm's networks"), images=(8, 'images in the batch'))
    device, (n, rounds) = torch.device('cuda' if torch.cuda.is_available() else 'cpu'), (2, 1) if a.quick else (a.images, a.rounds)
    table = Table(a.out, '{net:24} {explainer:22} {passes} passes {seconds:7.3f} s {times_bare:5.2f} x bare ({times_bare_low:.2f} to {times_bare_high:.2f})   load {load}')
    for net in a.nets.split(','):
        where = dict(net=net, side=224) | circumstances(device, rounds)
        table.add([where | row for row in measure(net, n, rounds, device)])

if __name__ == '__main__': main()
