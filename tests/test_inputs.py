"Attacks on the door: each input that was never meant to work, and the one sentence that it gets."
import gc, inspect, os, socket, threading
import pytest, torch
from PIL import Image
from torch import nn
import xainb.all
from xainb.core import BadInput, NotApplicable, explainer_registry
from xainb.data.images import image_folder, photos, read_text
from xainb.data.scenes import PlainScenes
from xainb.explainers.explain import images_for, load_explanation
from xainb.models.zoo import build_model, new_network
from xainb.store import digest

class Touch:
    "Unpickling it makes a file"
    def __init__(self, at): self.at = at
    def __reduce__(self): return open, (str(self.at), 'w')

options = {'checkpoint_path=evil.pth': 'unknown option', 'pretrained=1': 'unknown option', 'pretrained_cfg=x': 'unknown option',
           'pretrained_cfg_overlay=x': 'unknown option', 'cache_dir=x': 'unknown option', 'scriptable=1': 'unknown option', 'features_only=1': 'unknown option',
           'drop_rat=.1': "did you mean 'drop_rate'?", '=': 'unknown option', 'robust': 'unknown option',
           'classes=abc': 'a whole number from 1', 'classes=0': 'a whole number from 1', 'classes=1000000000': 'a whole number from 1',
           'classes=2&classes=3': 'is given once', 'mean=a': 'is a number', 'mean=1,2': 'a normalization is', 'mean=nan': 'a normalization is', 'std=0': 'a normalization is',
           'in_chans=-1': 'a whole number from 1', 'in_chans=1000000': 'a whole number from 1', 'img_size=99999999': 'a whole number from 1',
           'sha256=': 'hexadecimal digits', 'sha256=zz': 'hexadecimal digits', 'name=': 'a name on one line', 'training=a%0Ab': 'a name on one line'}

@pytest.fixture(scope='module')
def home(tmp_path_factory):
    from timm import create_model
    home = tmp_path_factory.mktemp('home')
    torch.manual_seed(0)
    torch.save(create_model('resnet18', num_classes=10).state_dict(), home/'w.pth')
    torch.save(Touch(home/'touched'), home/'evil.pth')
    return home

@pytest.mark.parametrize('option', options)
def test_options(option, home):
    with pytest.raises(BadInput, match=options[option].replace('?', r'\?')):
        first = '' if option.startswith('classes') else 'classes=10&'
        net = build_model(f'timm/resnet18:{home}/w.pth?{first}{option}')
        net(torch.rand(1, 3, 32, 32))

@pytest.mark.parametrize('make', [lambda h: build_model(f'timm/resnet18:{h}/w.pth?classes=10&checkpoint_path={h}/evil.pth'),
                                  lambda h: new_network(f'timm/resnet18?checkpoint_path={h}/evil.pth')(),
                                  lambda h: build_model(f'timm/resnet18:{h}/evil.pth?classes=10')], ids=['option', 'training', 'weights'])
def test_no_pickle_runs(make, home):
    with pytest.raises(BadInput): make(home)
    assert not (home/'touched').exists()

def flipped(w):
    w = w.clone(); w.view(torch.int32)[0, 0] ^= 1 << 30
    return w

weights = dict(
    empty_file=(b'', 'cannot be read as weights'), garbage=(b'\x80\x04garbage', 'holds more than weights'), list=([1], 'holds a list'), tensor=(torch.ones(3), 'holds a Tensor'),
    text=('a', 'holds a str'), number=(3, 'holds a int'), nothing=({}, 'tensors missing'), number_as_name=({0: torch.ones(2)}, 'has the name 0'),
    nan=(lambda w: w*torch.nan, 'NaN or infinity'), flipped=(flipped, 'weights are at most 1e'), sparse=(lambda w: w.to_sparse(), 'is torch.sparse_coo'),
    meta=(lambda w: w.to('meta'), 'on the meta device'), ints=(lambda w: w.int(), 'holds torch.int32'), complex=(lambda w: w.to(torch.complex64), 'holds torch.complex64'),
    quantized=(lambda w: torch.quantize_per_tensor(w, .1, 0, torch.qint8), 'is quantized'))

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', weights)
def test_weights(kind, home, tmp_path):
    held, why = weights[kind]
    state, file = torch.load(home/'w.pth'), tmp_path/'odd.pth'
    if callable(held): held = state | {'fc.weight': held(state['fc.weight'])}
    file.write_bytes(held) if isinstance(held, bytes) else torch.save(held, file)
    with pytest.raises(BadInput, match=why): build_model(f'timm/resnet18:{file}?classes=10')

@pytest.fixture
def pictures(tmp_path):
    Image.new('L', (1, 20_000)).save(tmp_path/'thin.png')
    Image.new('1', (13_000, 13_000)).save(tmp_path/'large.png')
    Image.new('RGB', (8, 8)).save(tmp_path/'program.png', format='EPS')
    for folder in ('train/a', 'test/a'):
        (tmp_path/folder).mkdir(parents=True); Image.new('RGB', (8, 8)).save(tmp_path/folder/'0.png')
    for pipe in ('pipe.png', 'train/a/pipe.png'): os.mkfifo(tmp_path/pipe)
    return tmp_path

@pytest.mark.filterwarnings('ignore:Image size')
@pytest.mark.parametrize('file, why', [('large.png', 'more than 80,000,000 pixels'), ('program.png', 'cannot be read'), ('pipe.png', 'is not a file'), ('none.png', 'no image|is skipped: missing')])
def test_pictures(file, why, pictures):
    (pictures/'annotations.csv').write_text(f'file,label\n{file},0\n')
    with pytest.raises(BadInput, match=why): photos(folder=pictures)
    with pytest.raises(BadInput, match=why): images_for(nn.Conv2d(3, 1, 1), pictures/file)

def test_thin_pictures_take_little_memory(pictures):
    (pictures/'annotations.csv').write_text('file,label\nthin.png,0\n')
    assert photos(folder=pictures).x.shape == (1, 3, 224, 224)
    with pytest.raises(BadInput, match='a picture of 1 by 20000 pixels is too narrow'): images_for(nn.Conv2d(3, 1, 1), pictures/'thin.png')

def test_pipes_do_not_hang(pictures):
    assert digest(image_folder(folder=pictures, split='train', size=8, lazy=True))
    for read in (read_text, load_explanation, lambda at: photos(folder=pictures, labels=at)):
        with pytest.raises(BadInput): read(pictures/'pipe.png')

@pytest.mark.parametrize('make, why', [(lambda: PlainScenes(n=10**8), '100,000,000 scenes of 32 by 32 pixels take'), (lambda: PlainScenes(n=1, size=10**6), 'from 1 to 8192'),
                                       (lambda: images_for(nn.Conv2d(3, 1, 1), Image.new('L', (9, 9)), size=10**6), 'at most 8192')])
def test_sizes(make, why):
    with pytest.raises(BadInput, match=why): make()

class Small(nn.Module):
    "A network on a machine whose memory holds the passes of two images"
    def __init__(self): super().__init__(); self.fc = nn.Linear(3, 4)
    def forward(self, x):
        if len(x) > 2: raise torch.OutOfMemoryError
        return self.fc(x.mean((2, 3)))

@pytest.mark.parametrize('name', ['expected_gradients', 'integrated_gradients', 'smoothgrad', 'occlusion', 'rise', 'lime', 'deep_lift_shap'])
def test_explainers_need_memory_for_two_images_only(name):
    few = dict(expected_gradients=dict(n_samples=25), integrated_gradients=dict(n_steps=25), rise=dict(n_masks=25), lime=dict(n_samples=25), smoothgrad=dict(n_samples=25), occlusion=dict(window=4, stride=4))
    assert explainer_registry[name](Small(), torch.rand(3, 3, 8, 8), [0, 1, 2], **few.get(name, {})).shape[0] == 3

few_samples = dict(n_samples=4, n_steps=4, n_masks=4)
def few_of(f): return {k: v for k, v in few_samples.items() if k in inspect.signature(f).parameters}

def applied(name, x):
    "A function that calls an explainer on a CNN, or on a transformer if it needs one"
    f = explainer_registry[name]
    for net in map(build_model, ('demo/resnet', 'demo-vit/vit')):
        def call(): return f(net, x, torch.zeros(len(x), dtype=torch.long), **few_of(f))
        try: call()
        except NotApplicable: continue
        return call
    pytest.fail(f'{name} is applicable to neither')

@pytest.mark.parametrize('name', sorted(explainer_registry))
def test_explainers_leave_no_tensors_to_the_garbage_collector(name):
    call = applied(name, torch.rand(2, 3, 32, 32))
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        left = [o.shape for o in gc.garbage if isinstance(o, torch.Tensor)]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
    assert not left

def listener(answer):
    "The port of a service that accepts every connection and sends an answer"
    server, kept = socket.create_server(('127.0.0.1', 0)), []
    def serve():
        while True:
            kept.append(server.accept()[0])
            if answer: kept[-1].sendall(answer)
    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]

@pytest.mark.parametrize('answer', [b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', b'SSH-2.0-OpenSSH\r\n', bytes(1000)], ids=['silent', 'http', 'ssh', 'zeros'])
def test_another_service_is_no_scheduler(answer, monkeypatch):
    pytest.importorskip('distributed')
    from xainb.sweeps import run
    monkeypatch.setattr(run._identity, '__defaults__', (2.,))
    with pytest.raises(BadInput, match='no Dask scheduler answers at'): run._connected(f'tcp://127.0.0.1:{listener(answer)}')
