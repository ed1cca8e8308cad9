"The explorer of a model without a browser: many clicks in a row, failures, other users of the model, and what is left when it goes."
import gc, random, subprocess, sys, threading, weakref
import pytest, torch
from torch import nn
import xainb.explorer.widgets as widgets
from xainb.explorer.model import ModelExplorer

class Net(nn.Module):
    "Small and quick; `fail` makes it raise"
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.fail, self.calls = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3), False, 0
    def forward(self, x):
        self.calls += 1
        if self.fail: raise RuntimeError('the network\nis out of order')
        return self.fc(self.conv(x).relu().mean((2, 3)))

def images(n=6): return torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(0))
def facts(net): return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in net.modules()]

@pytest.fixture
def explorer():
    made = ModelExplorer(Net(), images(), y=[0, 1, 2, 0, 1, 2], explainers=('gradcam', 'input_x_gradient'))
    yield made
    made.worker.cancel()
    assert made.wait(60)

def test_many_clicks_in_a_row(explorer, capfd):
    "The last choice wins, nothing is left on the model, and nothing is printed"
    assert explorer.wait(120) # A request that runs has a hook in the model
    net, rng = explorer.model, random.Random(0)
    before, choices = facts(net), dict(image=range(6), explainer=('gradient', 'gradcam', 'rise', 'attention_rollout', 'lime'), why=('predicted', 'true', 0, 1),
                                       against=('nothing', 'rival', 2), sort=('loss', 'certainty', 'disagreement', 'given'), sign=widgets.signs,
                                       explainer2=('', 'sobel', 'occlusion'), removed=(0, 30, 100), fill=('mean', 'blur', 'black'))
    for _ in range(120):
        explorer.set(**{k: rng.choice(choices[k]) for k in rng.sample(list(choices), 3)})
        if rng.random() < .3: explorer.wait(rng.random()/10)
    explorer.set(image=4, explainer='gradient', explainer2='', why=1, against='nothing', sort='given')
    assert explorer.wait(120) and explorer.error == '' and explorer.view.image == 4
    assert [row.name for row in explorer.view.rows] == ['gradient'] and explorer.view.titles == ['why class 1']
    x = images()[4:5].requires_grad_()
    assert torch.allclose(explorer.view.rows[0].maps[0], torch.autograd.grad(net(x)[0, 1], x)[0].sum(1)[0], atol=1e-6)
    assert facts(net) == before and capfd.readouterr() == ('', '')

def test_a_failure_is_one_sentence_and_the_next_request_works(explorer, capfd):
    assert explorer.wait(60)
    explorer.model.fail = True
    explorer.set(image=5, explainer='occlusion')
    assert explorer.wait(60) and 'RuntimeError: the network is out of order' in explorer.error + explorer.view.rows[0].reason
    explorer.model.fail = False
    explorer.set(image=5, explainer='occlusion', opacity=.5)
    assert explorer.wait(60) and explorer.error == '' and explorer.view.image == 5 and len(explorer.view.rows[0].maps) == 1
    assert capfd.readouterr() == ('', '')

def test_the_call_of_another_thread_is_not_cancelled():
    net, inside, go_on, worker = Net(), threading.Event(), threading.Event(), widgets.Worker()
    def work(job):
        with job.cancellable(net):
            inside.set()
            go_on.wait(60)
            net(images())
            raise AssertionError('this line is not reached')
    worker.submit(work)
    assert inside.wait(60)
    worker.cancel()
    assert net(images()).shape == (6, 3) # With the hook on it, and a request that is no longer wanted
    go_on.set()
    assert worker.wait(60) and worker.failure is None and net.calls == 1 and not net._forward_pre_hooks

def test_the_cache_has_a_limit():
    worker = widgets.Worker(max_bytes=10_000)
    worker.submit(lambda job: [job.once([k], lambda: (torch.zeros(1000), dict(a='text'))) for k in range(9)])
    assert worker.wait(60) and 0 < len(worker.cache) <= 2 and worker.cache.bytes <= 10_000

def test_an_explorer_that_is_thrown_away_lets_its_model_go(monkeypatch):
    monkeypatch.setattr(widgets, '_seconds_to_wait', .05)
    net = Net()
    explorer, gone = ModelExplorer(net, images(2)), weakref.ref(net)
    assert explorer.wait(60)
    thread = explorer.worker.thread
    explorer.widget.close_all()
    del net, explorer
    if thread: thread.join(60)
    gc.collect()
    assert gone() is None

def test_a_process_ends_while_a_request_runs():
    code = ("import torch\nfrom xainb.explorer.model import ModelExplorer\nfrom torch import nn\n"
            "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8*30*30, 4))\n"
            "explorer = ModelExplorer(net, torch.rand(2, 3, 32, 32))\nexplorer.wait(60)\n"
            "explorer.set(explainer='rise', params=dict(n_masks=10_000_000))\n"
            "while not explorer.worker.status.text.startswith('rise'): explorer.wait(.05)\nprint('end')")
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'end\n', '')
