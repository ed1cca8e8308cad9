"The page of a report in a browser: its script sorts, filters and chooses, and no page is wider than a phone."
import shutil
import numpy as np, pandas as pd, pytest
from xainb.html_page import page_html, table_html
from xainb.reports.leaderboard import MergedBoard
from xainb.reports.maps import map_grid
from xainb.store import Store

@pytest.fixture
def page(tmp_path):
    table = table_html(pd.DataFrame(dict(explainer=[f'e{i}' for i in range(9)], mean=[f'{v:.2f} [0.1, 0.9]' for v in np.linspace(.9, .1, 9)])), index=False)
    maps = {e: [[k*np.eye(8)]*2 for k in (1, 0)] for e in ('gradient', 'input_x_gradient_with_a_long_name')}
    grid = map_grid({'image 1': np.eye(8), 'image 2': np.eye(8)}, maps, ['alexnet', 'resnet'])
    file = tmp_path/'page.html'
    file.write_text(page_html('Title', 'about', [('Table', table), ('Maps', grid), ('Wide', table_html(pd.DataFrame(np.zeros((1, 40)))))]), encoding='utf-8')
    return f'file://{file}'

@pytest.fixture
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not chromium: pytest.skip('there is no Chromium on this machine')
    with api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=['--no-sandbox', '--disable-gpu'])
        yield b
        b.close()

def opened(browser, page, **kw):
    tab, errors = browser.new_context(**kw).new_page(), []
    tab.on('pageerror', lambda e: errors.append(str(e)))
    tab.goto(page)
    assert errors == []
    return tab

def test_script(browser, page):
    tab = opened(browser, page)
    rows = tab.locator('table').first.locator('tbody tr')
    assert rows.first.inner_text().startswith('e0')
    tab.locator('thead button').nth(1).click()
    assert rows.first.inner_text().startswith('e8')
    tab.locator('thead button').nth(1).click()
    assert rows.first.inner_text().startswith('e0')
    tab.locator('input[type=search]').first.fill('e3')
    assert [r.is_visible() for r in rows.all()].count(True) == 1
    figures = tab.locator('[data-grid] figure').all()
    assert [f.is_visible() for f in figures] == [True, False]
    tab.locator('select').select_option('image 2')
    assert [f.is_visible() for f in figures] == [False, True]
    tab.locator('.tools button', has_text='input_x').click()
    assert tab.locator('[data-grid] th[data-explainer]:visible').all_inner_texts() == ['gradient']
    assert tab.locator('.none:visible').all_inner_texts() == ['no signal'] # The map of zeros on resnet

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_fits_a_phone(browser, page, scheme):
    tab = opened(browser, page, viewport=dict(width=400, height=800), color_scheme=scheme)
    assert tab.evaluate('document.documentElement.scrollWidth') <= 400
    background = tab.evaluate('getComputedStyle(document.body).backgroundColor')
    assert (background == 'rgb(255, 255, 255)') == (scheme == 'light')
    assert tab.locator('.map img').first.bounding_box()['width'] >= 160

def test_readable_without_script(browser, page):
    tab = opened(browser, page, java_script_enabled=False)
    assert tab.locator('tbody tr:visible').count() == 9 + 2*2 + 1 and tab.locator('[data-grid] figure:visible').count() == 2

def test_leaderboard_sorts_and_filters(browser, tmp_path):
    rows = pd.DataFrame([dict(image=f'i{i}', value=.3 + i/100) for i in range(8)])
    for k, e in enumerate('abcdefghi'):
        for m in ('tile_share', 'insertion'):
            Store(tmp_path).write('run', f'{e}-{m}', rows.assign(metric=m, value=rows.value + k/20), explainer=e, model='n', dataset='scenes')
    tab = opened(browser, f'file://{MergedBoard(tmp_path).save()}')
    board, each = tab.locator('table').nth(0).locator('tbody tr'), tab.locator('table').nth(1).locator('tbody tr')
    assert board.first.inner_text().startswith('i') and each.count() == 18
    tab.locator('table').nth(0).locator('thead button').nth(1).click()
    assert board.first.inner_text().startswith('a')
    tab.locator('input[type=search]').nth(1).fill('insertion')
    assert [r.is_visible() for r in each.all()].count(True) == 9
