"""JupyterLab and a headless Chromium for tests of widgets: open a notebook, run it, click, slide, look at pictures, and ask the kernel.
Everything runs on this machine, in a folder of its own with settings of its own, and ends with the block, also after an error:

    with Lab(folder) as lab:
        page = lab.open('explorer.ipynb', ['from xainb.explorer.sweep import SweepExplorer', 'explorer = SweepExplorer(out)\\nexplorer'])
        page.button('show').click()
        page.until(lambda: page.ask('explorer.image') == 'scene-3')
"""
import ast, contextlib, importlib.util, io, os, shutil, signal, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import nbformat, psutil

chromiums = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'msedge'
patience = 120 # Seconds: nothing takes as long as that, even on a machine that does other things

def browser_path(): return next(filter(None, map(shutil.which, chromiums)), None)

def why_not():
    "What is missing for tests in a browser, or an empty text"
    missing = [p for p in ('jupyterlab', 'playwright') if importlib.util.find_spec(p) is None]
    if missing: return f"{' and '.join(missing)} not installed: pip install xainb[browser]"
    return '' if browser_path() else f"no browser: none of {', '.join(chromiums)} is on the path"

def until(condition, seconds=patience, what='the condition'):
    "The first true value of a condition, which is asked again and again"
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end: raise AssertionError(f'{what} did not come true within {seconds} s')
        time.sleep(.05)
    return value

def _free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def _own_folders(folder):
    "Environment variables with which Jupyter neither reads nor writes the settings of the person who runs the tests"
    names = dict(JUPYTER_CONFIG_DIR='config', JUPYTER_DATA_DIR='data', JUPYTER_RUNTIME_DIR='runtime', JUPYTERLAB_SETTINGS_DIR='settings',
                 JUPYTERLAB_WORKSPACES_DIR='workspaces', IPYTHONDIR='ipython', MPLCONFIGDIR='matplotlib')
    own = {name: str(folder/'.jupyter'/part) for name, part in names.items()}
    for path in own.values(): Path(path).mkdir(parents=True, exist_ok=True)
    for name, content in _settings.items():
        file = folder/'.jupyter'/'settings'/f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return own

# The settings of the page: it asks nothing
_settings = {'@jupyterlab/apputils-extension/notification': '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}'}

# No news, no extension manager and no check for updates; a server without a page and a running kernel ends itself
_options = dict(ServerApp=dict(open_browser=False, allow_root=True, shutdown_no_activity_timeout=600, port_retries=0, log_level=40),
                LabApp=dict(expose_app_in_browser=True, extension_manager='readonly', news_url='', check_for_updates_class='jupyterlab.NeverCheckForUpdate'),
                MappingKernelManager=dict(cull_idle_timeout=600, cull_interval=60, cull_connected=True))

class Lab:
    "A JupyterLab and a browser; both end with the block"
    def __init__(self, folder, # A folder of the test's own, in which the notebooks are written and run
                 **env):       # Environment of the kernels
        self.folder, self.env, self.ending = Path(folder).resolve(), env, contextlib.ExitStack()

    def __enter__(self):
        with self.ending as on_error:
            self._start_server()
            self._start_browser()
            self.ending = on_error.pop_all()
        return self

    def __exit__(self, *error): self.ending.close()

    def _start_server(self):
        port, token, log = _free_port(), os.urandom(16).hex(), self.folder/'.jupyter'/'log'
        env = os.environ | _own_folders(self.folder) | {'PATH': f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | self.env
        set_options = [f'--{part}.{k}={v}' for part, options in _options.items() for k, v in options.items()]
        command = [sys.executable, '-m', 'jupyterlab', '--ip=127.0.0.1', f'--port={port}', f'--ServerApp.root_dir={self.folder}',
                   f'--IdentityProvider.token={token}', *set_options]
        with open(log, 'w') as said:
            self.server = subprocess.Popen(command, cwd=self.folder, env=env, stdout=said, stderr=said, start_new_session=True)
        self.ending.callback(_end, self.server)
        self.url, self.token = f'http://127.0.0.1:{port}', token
        until(lambda: self._answers(log), what='the start of JupyterLab')

    def _answers(self, log):
        if self.server.poll() is not None: raise AssertionError(f'JupyterLab ended: {log.read_text()[-2000:]}')
        try: return urllib.request.urlopen(f'{self.url}/api?token={self.token}', timeout=10).status == 200
        except OSError: return False

    def _start_browser(self):
        from playwright.sync_api import sync_playwright
        play = self.ending.enter_context(sync_playwright())
        self.browser = play.chromium.launch(executable_path=browser_path(), args=['--disable-gpu', '--disable-quic', '--no-first-run'])
        self.ending.callback(self.browser.close)

    def open(self, name, cells, width=1280, height=1000, scale=1):
        "A page that shows a notebook with these code cells; the cells run as soon as the kernel is there"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=dict(
            kernelspec=dict(name='python3', display_name='Python 3', language='python')))
        nbformat.write(notebook, self.folder/name)
        context = self.browser.new_context(viewport=dict(width=width, height=height), device_scale_factor=scale)
        context.set_default_timeout(1000*patience)
        return NotebookPage(self, context.new_page(), name)

def _end(server):
    "End a server and everything that it has started: its kernels lead sessions of their own"
    with contextlib.suppress(psutil.NoSuchProcess): children = psutil.Process(server.pid).children(recursive=True)
    server.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired): server.wait(5)
    for process in [*children, server]:
        with contextlib.suppress(psutil.NoSuchProcess): process.kill()
    server.wait()
    psutil.wait_procs(children, 10)

_source_of_picture = """async image => { const answer = await fetch(image.src); const bytes = new Uint8Array(await answer.arrayBuffer());
    return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))).join(',') }"""

class NotebookPage:
    "A notebook in the browser. `page` is that of Playwright"
    def __init__(self, lab, page, name):
        self.lab, self.page, self.problems = lab, page, []
        page.on('pageerror', lambda e: self.problems.append(str(e)))
        page.goto(f'{lab.url}/doc/tree/{name}?token={lab.token}')
        page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'")
        self.kernel_id = page.evaluate('jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.id')
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')") # Returns when all cells have run
        self.output = page.locator('.jp-OutputArea-output').last

    def button(self, text): return self.page.get_by_role('button', name=text, exact=True)

    def picture(self, at): # A locator, or the alternative text of a picture, or its beginning
        "A checksum of the bytes of a picture as the page has it"
        image = self.page.locator(f'img[alt^="{at}"]').first if isinstance(at, str) else at
        return image.evaluate(_source_of_picture)

    def ask(self, expression):
        "The value of an expression in the kernel: a number, a text, or a list or dictionary of them"
        from jupyter_client import BlockingKernelClient
        client = BlockingKernelClient(connection_file=str(self.lab.folder/'.jupyter'/'runtime'/f'kernel-{self.kernel_id}.json'))
        client.load_connection_file()
        client.start_channels()
        try: answer = client.execute('', silent=True, user_expressions=dict(value=expression), reply=True, timeout=patience)
        finally: client.stop_channels()
        value = answer['content']['user_expressions']['value']
        if value['status'] == 'error': raise AssertionError(f"{expression}: {value['ename']}: {value['evalue']}")
        return ast.literal_eval(value['data']['text/plain'])

    def until(self, condition, what='the condition'):
        "Wait until a condition is true, while the page goes on"
        def asked():
            self.page.wait_for_timeout(20) # Playwright handles what the page says only inside its own calls
            return condition()
        return until(asked, what=what)

    def width_needed(self):
        "How many pixels the widest element of the output sticks out of it"
        return self.output.evaluate('e => e.scrollWidth - e.clientWidth')

    def errors(self):
        "The texts that the notebook's cells have printed as errors or on stderr"
        return self.page.locator('[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()

    def save_picture(self, path, at=None, colors=256, largest=120_000):
        "Write a screenshot of the output, or of another element, as a PNG with few colors"
        from PIL import Image
        shot = Image.open(io.BytesIO((at or self.output).screenshot())).convert('RGB')
        shot.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
        assert Path(path).stat().st_size < largest, f'{path} has {Path(path).stat().st_size} bytes'
