"Widgets in JupyterLab, driven in a headless browser: what is clicked and moved, what the kernel then holds, and which pictures change."
import psutil, pytest
import browser

pytestmark = [pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not() or '-'), pytest.mark.xdist_group('browser')]

@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "One JupyterLab for all tests; whatever it has started ends with it"
    here = psutil.Process()
    before = {p.pid for p in here.children(recursive=True)}
    with browser.Lab(tmp_path_factory.mktemp('lab')) as lab:
        yield lab
        started = [p for p in here.children(recursive=True) if p.pid not in before]
    assert len(started) > 3 # The server, the kernels, and the browser's processes
    assert psutil.wait_procs(started, 30)[1] == []

widgets_of_its_own = """import io, ipywidgets
from PIL import Image
def png(red):
    Image.new('RGB', (40, 40), (red, 0, 0)).save(file := io.BytesIO(), 'png')
    return file.getvalue()
slider, picture, button = ipywidgets.IntSlider(max=255), ipywidgets.Image(value=png(0)), ipywidgets.Button(description='go')
clicks = []
slider.observe(lambda change: setattr(picture, 'value', png(change.new)), 'value')
button.on_click(lambda _: clicks.append('go'))
ipywidgets.VBox([slider, picture, button])"""

def test_the_harness_clicks_slides_and_sees(lab):
    notebook = lab.open('harness.ipynb', [widgets_of_its_own, 'None'])
    image = notebook.page.locator('.jupyter-widgets img')
    before = notebook.picture(image)
    assert notebook.picture(image) == before
    notebook.page.get_by_role('slider').press('ArrowRight')
    notebook.until(lambda: notebook.picture(image) != before, 'another picture')
    assert notebook.ask('slider.value') == 1
    notebook.button('go').click()
    notebook.until(lambda: notebook.ask('clicks') == ['go'], 'a click in the kernel')
    assert notebook.errors() == [] and notebook.problems == []
    with pytest.raises(AssertionError, match='nothing: NameError'): notebook.ask('nothing')

def test_nothing_is_left_running_after_an_error(tmp_path, monkeypatch):
    def fail(lab, log):
        started.append(lab.server.pid)
        raise ZeroDivisionError
    started = []
    monkeypatch.setattr(browser.Lab, '_answers', fail)
    with pytest.raises(ZeroDivisionError), browser.Lab(tmp_path): pass
    assert started and not any(map(psutil.pid_exists, started))
