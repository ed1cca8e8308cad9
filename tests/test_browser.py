"Widgets in JupyterLab, driven in a headless browser: what is clicked and moved, what the kernel then holds, and which pictures change."
import os
from pathlib import Path
import psutil, pytest
import browser

repo = Path(__file__).parents[1]

pytestmark = [pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not() or '-'), pytest.mark.xdist_group('browser')]

@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "One JupyterLab for all tests; whatever it has started ends with it"
    here = psutil.Process()
    before = {p.pid for p in here.children(recursive=True)}
    with browser.Lab(tmp_path_factory.mktemp('lab'), PYTHONPATH=str(repo), OMP_NUM_THREADS='1') as lab:
        yield lab
        started = [p for p in here.children(recursive=True) if p.pid not in before]
    assert len(started) > 3 # The server, the kernels, and the browser's processes
    assert psutil.wait_procs(started, 30)[1] == []

@pytest.fixture
def pictures(tmp_path):
    "Where screenshots go: XAINB_SCREENSHOTS=nbs/images makes those of the documentation"
    return Path(os.environ.get('XAINB_SCREENSHOTS') or tmp_path)

def quiet(notebook): return notebook.errors() == [] and notebook.problems == []

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
    assert quiet(notebook)
    with pytest.raises(AssertionError, match='nothing: NameError'): notebook.ask('nothing')

def test_the_explorer_of_a_sweep(lab, pictures):
    results = repo/'nbs'/'results'/'transformers'
    notebook = lab.open('sweep.ipynb', [f"from xainb.explorer.sweep import SweepExplorer\nexplorer = SweepExplorer({str(results)!r})\nexplorer"], height=2000)
    page = notebook.page
    def value(name): return notebook.ask(f"explorer.controls['{name}'].value")
    def chosen(text): return lambda: text in notebook.output.inner_text()

    # Filter by network and name; then sort by a title
    page.get_by_label('network').first.select_option('resnet')
    page.get_by_label('explainers').fill('grad')
    page.get_by_label('explainers').press('Enter')
    notebook.until(chosen('6 rows'), 'a filtered table')
    notebook.button('Deletion (lower is better)').click()
    notebook.until(lambda: value('sort') == 'deletion', 'another order')
    order = notebook.ask("[e for _, e in explorer.table.shown.index]")
    assert order == notebook.ask("[e for _, e in explorer.results.select('demo/resnet', 'grad', sort='deletion').index]")
    shown = page.locator('.xainb-grid .xainb-first').all_inner_texts()
    assert [t.split()[0] for t in shown if t.strip()] == order

    # A number is pressed with the keyboard, and another with the mouse: their maps appear
    number = page.locator('button[title^="expected_gradients on demo/resnet: Insertion"]')
    number.focus()
    number.press('Enter')
    notebook.until(lambda: notebook.ask('explorer.cell') == ('demo/resnet', 'expected_gradients', 'insertion'), 'another cell')
    page.locator('button[title^="gradcam on demo/resnet: Deletion"]').click()
    page.locator('img[alt^="saliency map of gradcam"]').wait_for()
    assert value('image') == notebook.ask("explorer.results.images_of('demo/resnet', 'gradcam', 'deletion').index[0]")
    chosen_cell = page.locator('.xainb-grid .xainb-on')
    assert chosen_cell.count() == 1 and chosen_cell.get_attribute('title').startswith('gradcam on demo/resnet: Deletion')

    # The next image of the list, and the last one of the strip
    best = notebook.picture('saliency map of gradcam')
    page.get_by_role('slider').locator('visible=true').last.press('ArrowRight')
    notebook.until(lambda: notebook.picture('saliency map of gradcam') != best, 'the map of the second image')
    assert value('image') == notebook.ask("explorer.results.images_of('demo/resnet', 'gradcam', 'deletion').index[1]")
    second = notebook.picture('saliency map of gradcam')
    page.locator('.xainb-thumb').last.click()
    notebook.until(lambda: notebook.picture('saliency map of gradcam') not in (best, second), 'the map of the worst image')
    assert value('image') == notebook.ask("explorer.results.images_of('demo/resnet', 'gradcam', 'deletion').index[-1]")
    notebook.save_picture(pictures/'explore_sweep_scores.png')

    # The images on which two metrics disagree
    notebook.button('Disagreement').click()
    notebook.until(lambda: page.locator('img[alt^="saliency map of"]').locator('visible=true').count() == 2, 'two maps')
    notebook.save_picture(pictures/'explore_sweep_disagreement.png')

    # The budget: one step less with the keyboard, down to the cheapest
    notebook.button('Budget').click()
    figure = page.locator('img[alt*="against passes"]')
    figure.wait_for()
    before = notebook.picture(figure)
    slider = page.get_by_role('slider').locator('visible=true')
    slider.press('ArrowLeft')
    notebook.until(lambda: notebook.picture(figure) != before and 'Best within 80 passes' in notebook.output.inner_text(), 'a smaller budget')
    assert notebook.ask("explorer.budget().best") in notebook.output.inner_text()
    slider.press('Home')
    notebook.until(chosen('the cheapest one takes 2 passes'), 'the smallest budget')
    for _ in range(3): slider.press('ArrowRight')
    page.locator('img[alt*="Best within 24 passes"]').wait_for()
    notebook.save_picture(pictures/'explore_sweep_budget.png')

    # On a narrow screen, nothing sticks out of the page
    page.set_viewport_size(dict(width=500, height=2700))
    for view in ('Disagreement', 'Budget', 'Scores'):
        notebook.button(view).click()
        page.wait_for_function("e => e.scrollWidth <= e.clientWidth", arg=notebook.output.element_handle())
    page.locator('img[alt^="saliency map of gradcam"]').locator('visible=true').wait_for()
    notebook.save_picture(pictures/'explore_sweep_narrow.png')
    assert quiet(notebook)

def test_the_explorer_of_a_model(lab, pictures):
    make = ["from xainb.data.decoys import DecoyScenes\nfrom xainb.explorer.explore import explore",
            "explorer = explore('demo/mobilenet_robust', DecoyScenes('test', n=12), explainers=('gradcam', 'input_x_gradient'))\nexplorer"]
    notebook = lab.open('model.ipynb', make, height=1300)
    page = notebook.page
    def of(field): return page.locator(f'.xainb-control-{field}')
    def probability(): return page.locator('.xainb-view-rows').inner_text().split('probability')[1].split('\n')[0]
    def image(): return notebook.ask("explorer.controls['image'].value")

    # Misclassified images come first, and the first one is shown
    page.locator('img[alt*="without the top 10 %"]').first.wait_for()
    wrong = notebook.ask("[int(i) for i in (explorer.predicted != explorer.y).nonzero()[:, 0]]")
    assert image() in wrong or not wrong

    # Another explainer: another map
    page.locator('img[alt^="gradcam:"]').first.wait_for()
    before = notebook.picture('gradcam:')
    of('explainer').locator('select').select_option(label=notebook.ask("[o for o, v in explorer.controls['explainer'].options if v == 'gradient'][0]"))
    page.locator('img[alt^="gradient:"]').first.wait_for()
    assert notebook.picture('gradient:') != before
    assert notebook.ask('explorer.view.rows[0].name') == 'gradient'

    # Another image, by a click on the strip
    first, shown = image(), notebook.picture('gradient:')
    page.locator('.xainb-thumb').nth(3).click()
    notebook.until(lambda: notebook.picture('gradient:') != shown and page.locator(f'img[alt^="image {image()}:"]').count() > 0, 'the map of another image')
    assert image() == notebook.ask("explorer.strip.order[3]") != first

    # Remove more pixels with the arrow keys: the picture changes, and the probability is that of the curve
    page.locator('img[alt^="without the top 10 % by gradient"]').wait_for()
    full, text = notebook.picture('without the top 10 % by gradient'), probability()
    slider = of('removed').get_by_role('slider')
    for _ in range(10): slider.press('ArrowRight')
    page.locator('img[alt^="without the top 30 % by gradient"]').wait_for()
    assert notebook.picture('without the top 30 % by gradient') != full and probability() != text
    start, end = notebook.ask('[float(explorer.view.rows[0].curve[k]) for k in (0, 15)]')
    assert [f'{start:.3f}', f'{end:.3f}'] == [t.strip() for t in probability().split('→')]
    notebook.until(lambda: notebook.ask('explorer.worker.status.kind') == 'idle', 'the certificate')
    notebook.save_picture(pictures/'explore_model.png')

    # On a narrow screen, nothing sticks out of the page
    page.set_viewport_size(dict(width=500, height=2700))
    page.wait_for_function("e => e.scrollWidth <= e.clientWidth", arg=notebook.output.element_handle())
    notebook.save_picture(pictures/'explore_model_narrow.png')
    assert quiet(notebook)

def test_nothing_is_left_running_after_an_error(tmp_path, monkeypatch):
    def fail(lab, log):
        started.append(lab.server.pid)
        raise ZeroDivisionError
    started = []
    monkeypatch.setattr(browser.Lab, '_answers', fail)
    with pytest.raises(ZeroDivisionError), browser.Lab(tmp_path): pass
    assert started and not any(map(psutil.pid_exists, started))
